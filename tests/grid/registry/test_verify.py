"""Which pulled units are computed again, and what counts as the same result."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_units import data_unit, marker, trial_unit

from grid.plan.plan import Unit
from grid.registry.records import Batch, SharedUnit
from grid.registry.staging import StagedUnit
from grid.registry.verify import DECIDING, TOLERANCE, differences, sample
from grid.store.records import Marker
from medpt.files import write_arrays
from medpt.specs import ImageFree

VERSIONS = dict.fromkeys(DECIDING, "1")
METRICS = {"auc": 0.8, "kappa": float("nan"), "steps": 100.0}


def claimed(folder: Path, cpu: str = "ours", **metrics: float) -> StagedUnit:
    unit = SharedUnit("0" * 64, "finetune", 1, "a trial", METRICS | metrics, 1.0, {"cpu": cpu}, {}, ())
    return StagedUnit(Batch("A", "space", 0.0, VERSIONS, {}, {}), unit, folder)


def recomputed(**metrics: float) -> Marker:
    return marker("0" * 64, metrics=METRICS | metrics, peak={"cpu": "ours"})


def control(number: int) -> Unit:
    return Unit(ImageFree(f"target {number}", "d"), ("d",), f"control {number}")


@given(st.integers(1, 40), st.integers(0, 5), st.floats(0.001, 1), st.integers(0, 99))
def test_sample_has_its_share_of_each_kind_and_at_least_one(
    trials: int, controls: int, share: float, seed: int
) -> None:
    units = [*map(trial_unit, range(trials)), *map(control, range(controls)), data_unit(0)]
    drawn = sample(units, share, seed)
    counts = Counter(unit.kind for unit in drawn)
    expected = {"finetune": trials, "image_free": controls}
    assert counts == {kind: max(1, round(share * count)) for kind, count in expected.items() if count}
    assert len({unit.digest for unit in drawn}) == len(drawn)
    assert sample(list(reversed(units)), share, seed) == drawn


def test_sample_of_other_seeds_is_another() -> None:
    units = list(map(trial_unit, range(100)))
    assert len({sample(units, 0.01, seed)[0].digest for seed in range(20)}) > 10


def test_sample_of_data_alone_prepares_data() -> None:
    assert [unit.kind for unit in sample([data_unit(0), data_unit(1)], 0.5, 0)] == ["prepare"]


def test_equal_results_have_no_differences(tmp_path: Path) -> None:
    assert differences(claimed(tmp_path), recomputed(), tmp_path, VERSIONS) == []


def test_one_type_of_cpu_compares_every_bit(tmp_path: Path) -> None:
    unit = claimed(tmp_path, auc=math.nextafter(0.8, 1))
    (found,) = differences(unit, recomputed(), tmp_path, VERSIONS)
    assert found == f"auc: {math.nextafter(0.8, 1)!r} was published, 0.8 was computed here"


@pytest.mark.parametrize("change", ["cpu", "version", "gpu"])
def test_other_hardware_and_versions_have_a_tolerance(change: str, tmp_path: Path) -> None:
    def found(auc: float) -> list[str]:
        unit = claimed(tmp_path, "theirs" if change == "cpu" else "ours", auc=auc, steps=400.0)
        here = VERSIONS | ({"torch": "2"} if change == "version" else {})
        ours = recomputed()
        if change == "gpu":
            ours = replace(ours, peak={**ours.peak, "device": 1})
        return differences(unit, ours, tmp_path, here)

    assert found(0.8 + 0.9 * TOLERANCE) == []
    (line,) = found(0.8 - 1.1 * TOLERANCE)
    assert line.startswith("auc: 0.74")
    assert line.endswith("0.8 was computed here")
    assert found(float("nan")) == ["auc: nan was published, 0.8 was computed here"]


def test_metric_that_one_side_lacks_is_a_difference(tmp_path: Path) -> None:
    found = differences(claimed(tmp_path, dice=0.5), recomputed(), tmp_path, VERSIONS)
    assert found == ["dice: 0.5 was published, no number was computed here"]


@pytest.mark.parametrize("name", ["items.npz", "best.safetensors"])
def test_files_are_compared_on_one_type_of_cpu(name: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, value in ((one, 1.0), (other, 2.0)):
        folder.mkdir()
        write_arrays(folder / name, {"scores": np.array([value, np.nan])})
    unit = claimed(one)
    unit = replace(unit, unit=replace(unit.unit, artifacts={name: "0" * 64}))
    (found,) = differences(unit, recomputed(), other, VERSIONS)
    assert found.startswith(f"{name}: other ")
    assert differences(unit, recomputed(), one, VERSIONS) == []
