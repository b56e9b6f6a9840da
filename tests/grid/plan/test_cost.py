"""The cost of a plan: arithmetic, and its calibration by the units that are finished."""

import json
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from made_units import data_unit, marker, plan_of, trial_unit

from grid.plan import cost
from grid.plan.calibration import calibrations, device_seconds
from grid.plan.cost import DataSizes, Files
from grid.plan.datasets import ABSENT, SpaceDatasets
from grid.plan.estimate import START_SECONDS, Estimate, estimate, record
from grid.plan.plan import Unit
from grid.store.records import Marker
from grid.store.store import Store
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, Features, Prepare, Pretrain, Probe, Slides, Survive, Svcca
from medpt.unit_spec import UnitSpec

DATA = data_unit(0)


def trial(number: int, **protocol: int) -> Unit:
    unit = trial_unit(number, [DATA])
    return replace(unit, spec=replace(unit.spec, protocol=TrainingProtocol(**protocol)))


class FinishedUnits:
    """What `calibrations` asks of a store: units with the seconds that they took, on a GPU or on a CPU."""

    def __init__(self, *taken: tuple[Unit, float], device: str, images: int) -> None:
        self.images = images
        peak = {"device": 1, "device_size": 2} if device == "GPU" else {"resident": 1}
        self.stored = {unit.digest: self._marker(unit, seconds, peak) for unit, seconds in taken}

    def _marker(self, unit: Unit, seconds: float, peak: dict[str, int]) -> Marker:
        return replace(unit.marker({"images": self.images}, "host", 1, 100.0, 100.0 + seconds), peak=peak)

    def finished(self) -> set[str]:
        return set(self.stored)

    def markers(self, digests: Iterable[str]) -> dict[str, Marker]:
        return {digest: self.stored[digest] for digest in digests if digest in self.stored}


def store_of(*taken: tuple[Unit, float], device: str = "GPU", images: int = 100) -> Store:
    return cast(Store, FinishedUnits(*taken, device=device, images=images))


def computed(unit: Unit, device: str = "GPU", side: int = 256) -> float:
    return cost.seconds(unit, DataSizes({DATA.digest: side}), device)


def hours_of(units: Iterable[Unit], store: Store, device: str = "GPU") -> float:
    return estimate(units, DataSizes(), store).hours(device)["fine-tune"]


def test_first_estimate_is_sum_of_starts_and_seconds_by_title() -> None:
    units = [trial(0), trial(1), DATA]
    hours = estimate(units, DataSizes(), store_of()).hours("CPU core")
    taken = sum(computed(unit, "CPU core") for unit in units[:2]) + 2 * cost.TRAINING_START
    assert hours["fine-tune"] == pytest.approx(taken / 3600)
    assert set(hours) == {"fine-tune", DATA.spec.title}


def test_start_is_the_measured_one_where_units_have_finished() -> None:
    store = store_of((trial(0, min_steps=2, max_steps=2), 0.5), device="CPU core")
    other = trial(1, min_steps=2, max_steps=2)
    assert hours_of([other], store, "CPU core") * 3600 == pytest.approx(0.5, rel=0.1)


def probe(images: int, side: int, **changes: Any) -> float:
    spec = Probe("EyePACS", "digest", "CXR", DATA.digest, "resnet18")
    unit = Unit(replace(spec, **changes), (DATA.digest,), "a probe")
    return cost.seconds(unit, DataSizes({DATA.digest: side}, {"CXR": Files(images, 0)}), "CPU core")


def test_probes_cost_what_their_networks_see() -> None:
    """Images, their area and the networks count; random networks see the training images twice."""
    assert probe(2000, 64) == pytest.approx(2 * probe(1000, 64))
    assert probe(1000, 256) > 10 * probe(1000, 64)
    assert probe(1000, 64, networks=20) == pytest.approx(20 * probe(1000, 64))
    assert 1.5 < probe(1000, 256, weights=None) / probe(1000, 256) < 2
    fitted = [probe(images, 64) - cost.TEST_SHARE * images * seen() for images in (2_500, 250_000)]
    assert fitted[0] == pytest.approx(fitted[1])  # to 2,000 images at most


def seen() -> float:
    return cost.forward_seconds(CLASSIFIER, "resnet18", 64, "CPU core")


def test_estimate_follows_units_of_the_same_kind_and_device() -> None:
    """Start-up and a factor are recovered from units of several lengths."""
    lengths = [trial(number, min_steps=steps, max_steps=steps) for number, steps in enumerate((9, 900, 9000))]
    store = store_of(*((unit, 5 + 3 * computed(unit)) for unit in lengths))
    longest = trial(9, min_steps=50_000, max_steps=50_000)
    assert hours_of([longest], store) * 3600 == pytest.approx(5 + 3 * computed(longest), rel=0.02)


@pytest.mark.parametrize("ratio", [0.2, 0.9, 1.1, 4.0])
def test_estimate_of_units_like_the_finished_ones_is_what_those_took(ratio: float) -> None:
    unit, other = trial(0), trial(1)
    store = store_of((unit, ratio * computed(unit)))
    assert hours_of([other], store) * 3600 == pytest.approx(ratio * computed(unit), rel=0.1)


def test_estimate_of_long_units_is_not_scaled_by_start_up_of_short_ones() -> None:
    tiny = replace(DATA, spec=Prepare("DRIVE", "tiny", "resize(8)"))
    short = replace(trial(0, min_steps=2, max_steps=2), needs=(tiny.digest,))
    long = trial(1, min_steps=60_000, max_steps=60_000)
    store = store_of((tiny, 1.0), (short, 6.0), device="CPU core")
    assert hours_of([long], store, "CPU core") * 3600 == pytest.approx(computed(long, "CPU core"), rel=0.05)


def test_estimate_ignores_units_of_another_device() -> None:
    store = store_of((trial(0), 1e6), device="CPU core")
    assert hours_of([trial(1)], store, "GPU") == hours_of([trial(1)], store_of(), "GPU")
    assert hours_of([trial(1)], store, "CPU core") > 100 * hours_of([trial(1)], store, "GPU")


def test_estimate_ignores_units_of_another_kind() -> None:
    assert hours_of([trial(1)], store_of((DATA, 1e6))) == hours_of([trial(1)], store_of())


def test_calibration_reads_the_side_of_images_from_the_store() -> None:
    """Plans differ in their images: a finished unit of 8 pixels says how long one of 256 takes."""
    unit = trial(0, min_steps=90_000_000, max_steps=90_000_000)
    store = store_of((DATA, 1.0), (unit, 2 * computed(unit, side=8)))
    assert calibrations(store, DataSizes())["GPU", "fine-tune"].factor == pytest.approx(2, rel=0.02)


def test_seconds_are_proportional_to_steps_batch_size_and_pixels() -> None:
    small = cost.seconds(
        trial(0, max_steps=100, min_steps=100, batch_size=16), DataSizes({DATA.digest: 128}), "GPU"
    )
    large = cost.seconds(
        trial(0, max_steps=200, min_steps=200, batch_size=32), DataSizes({DATA.digest: 256}), "GPU"
    )
    assert large == pytest.approx(16 * small)


def test_preparation_costs_images_and_bytes() -> None:
    def seconds(images: int, nbytes: float, sample_size: int | None = None) -> float:
        unit = replace(DATA, spec=replace(DATA.spec, sample_size=sample_size))
        return cost.seconds(unit, DataSizes(files={"DRIVE": Files(images, nbytes)}), "CPU core")

    assert seconds(200, 2e8) == pytest.approx(2 * seconds(100, 1e8))
    assert seconds(100, 4e8) > 2 * seconds(100, 1e8)
    assert seconds(1000, 1e9, sample_size=100) == pytest.approx(seconds(100, 1e8))


def test_sizes_are_those_of_the_files_or_of_the_card(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"x" * 100)
    plan = plan_of([DATA])
    assert cost.data_sizes(plan, SpaceDatasets({"DRIVE": tmp_path}, {}, [])).files["DRIVE"] == Files(3, 300)
    known = cost.data_sizes(plan, SpaceDatasets({}, {}, [])).files["DRIVE"]
    assert known == Files(40, 40 * cost.MEAN_BYTES)  # DRIVE has 40 photographs


def published(name: str) -> DataSizes:
    """Return the sizes of a plan of `name` whose data are published and not here."""
    return cost.data_sizes(plan_of([prepared(name)]), SpaceDatasets({}, {}, []))


def drawn(name: str, images: int, *units: Unit) -> DataSizes:
    """Return the sizes of a plan of `name` whose data will be drawn."""
    found = SpaceDatasets({}, {name: ABSENT}, [], drawn={name: images})
    return cost.data_sizes(plan_of([prepared(name), *units]), found)


def prepared(name: str) -> Unit:
    return replace(DATA, spec=replace(DATA.spec, dataset=name))


def test_synthetic_data_cost_what_will_be_drawn() -> None:
    """223,648 radiographs by the card, of which a space draws twelve."""
    sizes = drawn("CheXpert", 12)
    assert sizes.files["CheXpert"].images == 12
    many, few = (
        cost.seconds(prepared("CheXpert"), data, "CPU core") for data in (published("CheXpert"), sizes)
    )
    assert few < 1e-4 * many


SURVIVAL = [
    Slides("TCGA-LGG", "print", patches={"candidates": 20}),
    Features("random", None, "TCGA-LGG", "slides", "resnet18"),
    Survive("km", "random", None, "TCGA-LGG", "slides", "features", "resnet18"),
]


@pytest.mark.parametrize("spec", SURVIVAL)
def test_typical_seconds_are_those_of_a_published_cohort(spec: UnitSpec) -> None:
    """A tenth of the slides with a tenth of the patches takes a hundredth of the time."""
    unit, slides = Unit(spec, ("a need",), "made"), Unit(SURVIVAL[0], (), "slides")
    sizes = drawn("TCGA-LGG", 84, slides)
    assert cost.seconds(unit, published("TCGA-LGG"), "CPU core") == spec.typical_seconds
    assert cost.seconds(unit, sizes, "CPU core") == pytest.approx(spec.typical_seconds / 100, rel=0.01)


def test_synthetic_data_are_never_larger_than_published_ones() -> None:
    assert drawn("DRIVE", 4_000).shares == {"DRIVE": 1}


def test_leak_checks_cost_the_images_of_their_sources() -> None:
    spec = Pretrain(("EyePACS", "MURA"), ("a", "b"), "resnet18", CLASSIFIER, guards=("c",))
    check = Unit(spec, (*spec.inputs(),), "a check")
    half = cost.seconds(check, DataSizes(shares={"EyePACS": 0.5, "MURA": 0.1}), "CPU core")
    assert half == pytest.approx(0.3 * cost.LEAK_CHECK_SECONDS)


def test_svcca_costs_its_probe_images() -> None:
    few = Unit(Svcca("MURA", "weights", "resnet18", ("data",), images=200), ("data",), "svcca")
    assert cost.seconds(few, DataSizes(), "CPU core") == pytest.approx(Svcca.typical_seconds / 10)


def test_prepared_images_calibrate_larger_data() -> None:
    """A dataset of which a card knows more images than were prepared does not seem fast."""
    files = {"DRIVE": Files(1_000_000, 1e6 * cost.MEAN_BYTES)}
    few = replace(DATA, spec=replace(DATA.spec, fingerprint="few"))
    taken = 3 * cost.seconds(
        few, DataSizes(files={"DRIVE": Files(20_000, 20_000 * cost.MEAN_BYTES)}), "CPU core"
    )
    store = store_of((few, taken), device="CPU core", images=20_000)
    hours = estimate([DATA], DataSizes(files=files), store).hours("CPU core")
    expected = 3 * cost.seconds(DATA, DataSizes(files=files), "CPU core") / 3600
    assert hours[DATA.spec.title] == pytest.approx(expected, rel=0.05)


def test_device_seconds_count_shares_and_data_one_after_the_other() -> None:
    tuned = replace(marker("a" * 64, started=0.0, ended=100.0), peak={"device": 1, "gpus": 0.25})
    data = [
        replace(marker(name * 64, kind="prepare", started=10.0, ended=ended), peak={"cpus": 4})
        for name, ended in (("b", 12.0), ("c", 15.0))
    ]
    assert device_seconds([tuned, *reversed(data)]) == {"a" * 64: 25.0, "b" * 64: 8.0, "c" * 64: 12.0}


def made_estimate() -> Estimate:
    """Data of 8 core seconds, and eight trials of 100 seconds of a core or 10 of a GPU after them."""
    units = [DATA, *map(trial, range(8))]
    seconds = {
        device: {unit.digest: 8.0 if unit is DATA else own for unit in units}
        for device, own in (("CPU core", 100.0), ("GPU", 10.0))
    }
    return Estimate({unit.digest: unit for unit in units}, seconds)


@pytest.mark.parametrize(
    ("cpus", "gpus", "expected"), [(1, 0, 808), (4, 0, 202), (100, 0, 100.08), (4, 1, 80), (4, 8, 12)]
)
def test_wall_time_is_work_by_devices_and_at_least_the_longest_chain(
    cpus: int, gpus: int, expected: float
) -> None:
    assert made_estimate().wall_seconds(cpus, gpus) - START_SECONDS == pytest.approx(expected)


def test_prediction_is_recorded_beside_what_it_took(tmp_path: Path) -> None:
    store, predicted = Store(tmp_path), made_estimate()
    store.create()
    now = time.time()
    for unit in predicted.units.values():
        folder = tmp_path / "units" / f"built-{unit.digest[:8]}"
        folder.mkdir()
        lease = store.claim(unit.digest)
        assert lease
        values = {"kind": unit.kind, "spec": unit.spec.to_json(), "attempt": lease.attempt}
        store.publish(unit.digest, folder, marker(unit.digest, **values, started=now, ended=now + 50))
    predicted_seconds, taken = record(store, predicted, 4, 0, now)
    (path,) = (tmp_path / "costs").iterdir()
    written = json.loads(path.read_text())
    assert written["seconds"] == {"predicted": predicted_seconds, "actual": taken}
    tuned = written["hours"]["CPU core"]["fine-tune"]
    assert tuned == {"predicted": pytest.approx(800 / 3600), "actual": pytest.approx(400 / 3600)}
    assert written["units"] == 9
