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

DATA = data_unit(0)


def trial(number: int, **protocol: int) -> Unit:
    unit = trial_unit(number, [DATA])
    return replace(unit, spec=replace(unit.spec, protocol=TrainingProtocol(**protocol)))


class FinishedUnits:
    """What `calibration` asks of a store; each unit took so many times what the arithmetic gives it."""

    def __init__(self, *ratios: tuple[Unit, float]) -> None:
        self.stored = {unit.digest: self._marker(unit, ratio) for unit, ratio in ratios}

    def _marker(self, unit: Unit, ratio: float) -> Marker:
        spec = unit.spec.to_json()
        times = {"started": 100.0, "ended": 100.0 + ratio * cost.seconds(unit, {}, "GPU")}
        return Marker(unit.digest, unit.kind, spec, unit.needs, unit.label, 1, {}, "host", 1, **times)

    def finished(self) -> set[str]:
        return set(self.stored)

    def markers(self, digests: Iterable[str]) -> dict[str, Marker]:
        return {digest: self.stored[digest] for digest in digests}


def store_of(*ratios: tuple[Unit, float]) -> Store:
    return cast(Store, FinishedUnits(*ratios))


def test_calibration_is_median_ratio_of_measured_to_computed_seconds() -> None:
    store = store_of((trial(0), 2.0), (trial(1, max_steps=50), 3.0), (trial(2), 50.0))
    assert cost.calibration(store, {}, "GPU") == pytest.approx(3)


def test_calibration_ignores_units_that_do_not_train() -> None:
    assert cost.calibration(store_of((DATA, 9.0), (trial(0), 2.0)), {}, "GPU") == pytest.approx(2)


def test_calibration_is_one_without_trained_units() -> None:
    assert cost.calibration(store_of(), {}, "GPU") == 1
    assert cost.calibration(store_of((DATA, 9.0)), {}, "GPU") == 1


def test_estimate_is_calibrated_hours_by_title() -> None:
    units = [trial(0), trial(1), DATA]
    uncalibrated = sum(cost.seconds(unit, {}, "GPU") for unit in units[:2]) / 3600
    hours = cost.estimate(units, {}, store_of((trial(9), 4.0)), "GPU")
    assert hours["fine-tune"] == pytest.approx(4 * uncalibrated)
    assert set(hours) == {"fine-tune", DATA.spec.title}


def test_seconds_are_proportional_to_steps_batch_size_and_pixels() -> None:
    small = cost.seconds(trial(0, max_steps=100, min_steps=100, batch_size=16), {DATA.digest: 128}, "GPU")
    large = cost.seconds(trial(0, max_steps=200, min_steps=200, batch_size=32), {DATA.digest: 256}, "GPU")
    assert large == pytest.approx(16 * small)
