"""The cost of a plan: arithmetic, and its calibration by the units that are finished."""

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import pytest
from made_units import data_unit, trial_unit

from grid.plan import cost
from grid.plan.plan import Unit
from grid.store.records import Marker
from grid.store.store import Store
from medpt.protocol import TrainingProtocol
from medpt.specs import Prepare

DATA = data_unit(0)


def trial(number: int, **protocol: int) -> Unit:
    unit = trial_unit(number, [DATA])
    return replace(unit, spec=replace(unit.spec, protocol=TrainingProtocol(**protocol)))


class FinishedUnits:
    """What `calibrations` asks of a store: units with the seconds that they took, on a GPU or on a CPU."""

    def __init__(self, *taken: tuple[Unit, float], device: str) -> None:
        peak = {"device": 1, "device_size": 2} if device == "GPU" else {"resident": 1}
        self.stored = {unit.digest: self._marker(unit, seconds, peak) for unit, seconds in taken}

    def _marker(self, unit: Unit, seconds: float, peak: dict[str, int]) -> Marker:
        spec, times = unit.spec.to_json(), {"started": 100.0, "ended": 100.0 + seconds}
        return Marker(
            unit.digest, unit.kind, spec, unit.needs, unit.label, 1, {}, "host", 1, **times, peak=peak
        )

    def finished(self) -> set[str]:
        return set(self.stored)

    def markers(self, digests: Iterable[str]) -> dict[str, Marker]:
        return {digest: self.stored[digest] for digest in digests if digest in self.stored}


def store_of(*taken: tuple[Unit, float], device: str = "GPU") -> Store:
    return cast(Store, FinishedUnits(*taken, device=device))


def computed(unit: Unit, device: str = "GPU", side: int = 256) -> float:
    return cost.seconds(unit, {DATA.digest: side}, device)


def hours_of(units: Iterable[Unit], store: Store, device: str = "GPU") -> float:
    return cost.estimate(units, {}, store, device)["fine-tune"]


def test_estimate_is_sum_of_seconds_by_title_without_finished_units() -> None:
    units = [trial(0), trial(1), DATA]
    hours = cost.estimate(units, {}, store_of(), "GPU")
    assert hours["fine-tune"] == pytest.approx((computed(units[0]) + computed(units[1])) / 3600)
    assert set(hours) == {"fine-tune", DATA.spec.title}


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
    assert cost.calibrations(store, {}, "GPU")["fine-tune"].factor == pytest.approx(2, rel=0.02)


def test_seconds_are_proportional_to_steps_batch_size_and_pixels() -> None:
    small = cost.seconds(trial(0, max_steps=100, min_steps=100, batch_size=16), {DATA.digest: 128}, "GPU")
    large = cost.seconds(trial(0, max_steps=200, min_steps=200, batch_size=32), {DATA.digest: 256}, "GPU")
    assert large == pytest.approx(16 * small)
