"""A cohort whose patients are all censored: each unit on it fails once, for bad data, with words."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_units import marker

from grid.execution.worker import execute_unit
from grid.options import RunOptions
from grid.plan.plan import Unit
from grid.store.store import Store
from medpt import phantom
from medpt.data import open_dataset
from medpt.specs import NO_NETWORK, Features, Slides, Survive, UnitSpec
from medpt.survival import patch_files

PATCHES = Slides("TCGA-LGG", "f", {}, {"candidates": 6, "box": 32, "size": 32})
SLIDES = Unit(PATCHES, (), "slides")
FEATURES = Features("random", None, "TCGA-LGG", SLIDES.digest, "resnet18")
COX = Survive("cox", NO_NETWORK, None, "TCGA-LGG", SLIDES.digest, None, NO_NETWORK)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """With the slides of ten patients prepared, none of whom died."""
    folder = tmp_path_factory.mktemp("censored")
    dataset = open_dataset("TCGA-LGG", phantom.write("TCGA-LGG", folder / "lgg", train=10, test=0, size=48))
    alive = [replace(record, meta={**record.meta, "event": False}) for record in dataset]
    store = Store(folder / "out")
    store.create()
    built = store.root / "units" / "built"
    built.mkdir()
    infos = [patch_files.write(built, dataset.root, record, PATCHES) for record in patch_files.plan(dataset)]
    patch_files.write_manifest(built, replace(dataset, records=tuple(alive)), PATCHES, infos)
    store.publish(SLIDES.digest, built, marker(SLIDES.digest))
    return store


@pytest.mark.parametrize(("kind", "spec"), [("survive", COX), ("features", FEATURES)])
def test_all_censored_split_is_a_failure_of_the_data(
    store: Store, tmp_path: Path, kind: str, spec: UnitSpec
) -> None:
    unit = Unit(spec, (SLIDES.digest,), kind)
    assert (
        execute_unit(unit, store, RunOptions("", store.out, cache=tmp_path, cache_bytes=0), 0.0) == "failed"
    )
    failure = store.failure(unit.digest)
    assert failure.cause == "data"
    lines = failure.reason.splitlines()
    for line, (name, patients) in zip(
        lines, {"training": 6, "validation": 2, "test": 2}.items(), strict=True
    ):
        assert (
            f"split: {name} set: all of its {patients} patients are censored; each set needs a death" in line
        )
        assert "(0 of 10 died)" in line
    assert not store.is_finished(unit.digest)
    assert not store.folder(unit.digest).exists()
    assert "InputError" in (store.root / str(failure.log)).read_text()
