"""Data units beside the training, with pipelines that write a line and a real store."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_units import data_unit, marker, plan_of, trial_unit

from grid.execution import data_units
from grid.execution.allocation import Allocations
from grid.execution.coordinator import Coordinator
from grid.execution.data_units import prepare_data_units, publish_data
from grid.execution.failures import RetryPolicy
from grid.options import RunOptions
from grid.plan.plan import Unit
from grid.store.store import Store
from medpt.errors import InputError
from medpt.specs import Prepare


class Patches:
    """What publishing asks of the manifest of a cohort."""

    def table4(self) -> dict[str, int]:
        return {"valid patches": 3}


class Made:
    """Units, their coordinator and store, and the batches in which a pipeline got them."""

    def __init__(self, folder: Path, *units: Unit) -> None:
        self.store, self.batches = Store(folder), list[list[str]]()
        self.store.create()
        self.events: list[tuple[str, str]] = []
        made = plan_of(units)
        policy = RetryPolicy(Allocations())
        self.coordinator = Coordinator(made, set(made.units), self.store, policy, [self.hear])

    def hear(self, event: str, unit: Unit) -> None:
        self.events.append((event, unit.label))

    def run(self, result: Callable[[Unit], Any]) -> None:
        """Prepare all units; `result` gives what a unit ends with, or raises what stops the pipeline."""

        def pipeline(units: Sequence[Unit]) -> Iterator[tuple[str, Any]]:
            self.batches.append([unit.label for unit in units])
            for unit in units:
                folder = self.store.checkpoints(unit.digest)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "patches").write_text(unit.label)
                yield unit.digest, result(unit)

        options = RunOptions("made", self.store.out, cache_bytes=0)

        def publish(*arguments: Any) -> Any:
            return publish_data(self.store, options, *arguments)

        prepare_data_units(self.coordinator, self.store, {"prepare": pipeline, "slides": pipeline}, publish)

    def ends(self) -> list[tuple[str, str]]:
        return [(event, label) for event, label in self.events if event != "started"]


def test_prepared_units_are_published_with_their_counts(tmp_path: Path) -> None:
    made = Made(tmp_path, slides := data_unit(0, kind="slides"), data_unit(1), data_unit(2))
    made.run(lambda unit: Patches())
    assert made.batches == [["prepare 1", "prepare 2"], ["slides 0"]]
    assert [event for event, _ in made.ends()] == ["finished"] * 3
    marker = made.store.marker(slides.digest)
    assert marker.metrics == {"valid_patches": 3.0}
    assert made.store.artifact(slides.digest, "patches").read_text() == "slides 0"


def test_unit_with_an_error_fails_alone(tmp_path: Path) -> None:
    first, second = data_unit(0), data_unit(1)
    made = Made(tmp_path, first, second, trial_unit(2, [first]))
    made.run(lambda unit: InputError("a bad image") if unit is first else Patches())
    assert made.ends() == [("failed", "prepare 0"), ("blocked", "unet 2"), ("finished", "prepare 1")]
    failure = made.store.failure(first.digest)
    assert (failure.cause, failure.reason) == ("data", "a bad image")


def test_pipeline_that_stops_fails_what_it_had_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    units = [data_unit(number) for number in range(3)]
    made = Made(tmp_path, *units)

    def stop(unit: Unit) -> Patches:
        if unit is units[1]:
            raise KeyError("a fault of the code")
        return Patches()

    made.run(stop)
    assert made.ends() == [("finished", "prepare 0"), ("failed", "prepare 1"), ("failed", "prepare 2")]
    assert made.store.failure(units[2].digest).cause == "error"
    assert "KeyError" in (made.store.root / "failed" / f"{units[2].digest}.log").read_text()
    assert "data preparation stopped; 2 units failed: prepare 1, prepare 2" in caplog.text


def test_lost_pipeline_is_started_again_for_what_it_had_left(tmp_path: Path) -> None:
    made = Made(tmp_path, data_unit(0), data_unit(1))

    def lose(unit: Unit) -> Patches:
        if unit.label == "prepare 1" and len(made.batches) == 1:
            raise OSError("the node was lost")
        return Patches()

    made.run(lose)
    assert made.batches == [["prepare 0", "prepare 1"], ["prepare 1"]]
    assert made.ends() == [("finished", "prepare 0"), ("retried", "prepare 1"), ("finished", "prepare 1")]


def test_pipeline_without_a_result_for_a_unit_fails_it(tmp_path: Path) -> None:
    made = Made(tmp_path, unit := data_unit(0))
    prepare_data_units(made.coordinator, made.store, {"prepare": lambda units: iter(())}, pytest.fail)
    assert made.ends() == [("failed", "prepare 0")]
    assert "without a result" in made.store.failure(unit.digest).reason


def test_unit_that_another_driver_finished_meanwhile_is_not_published_twice(tmp_path: Path) -> None:
    made = Made(tmp_path, unit := data_unit(0))

    def supersede(unit: Unit) -> Patches:
        other = Store(tmp_path)
        other.leases.claim(unit.digest)  # None: this process holds it
        made.store.documents.create(f"done/{unit.digest}.json", marker(unit.digest).content())
        return Patches()

    made.run(supersede)
    assert made.ends() == [("taken", "prepare 0"), ("finished", "prepare 0")]
    assert made.store.marker(unit.digest) == marker(unit.digest)


def test_images_are_reported_before_they_are_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while the original files are hashed fails that unit alone."""
    units = [data_unit(number) for number in range(3)]
    results = [(units[0].digest, Patches()), (units[1].digest, Patches()), (units[2].digest, OSError("full"))]
    monkeypatch.setattr(data_units.images, "prepare_all", lambda jobs, on_images: iter(results))
    called: list[str] = []

    def on_prepared(name: str) -> None:
        called.append(name)
        if len(called) == 2:
            raise InputError("1.png: no such file")

    names = {unit.spec.dataset: None for unit in units if isinstance(unit.spec, Prepare)}
    made = Made(tmp_path, *units)
    pipelines = data_units.data_pipelines(made.store, names, lambda count: None, on_prepared)  # type: ignore[arg-type]
    found = dict(pipelines["prepare"](units))
    assert len(called) == 2
    assert isinstance(found[units[0].digest], Patches)
    assert str(found[units[1].digest]) == "1.png: no such file"
    assert str(found[units[2].digest]) == "full"
