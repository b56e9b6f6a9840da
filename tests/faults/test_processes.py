"""Processes that die at the worst moments: trials, the tasks that prepare data, and the driver."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import oracle
import pytest
import tiny

from medpt import fault_injection

NOTE = "at:step/*,do:sleep 0,count:999"  # every step that is made
IN_TRIALS = [
    "unit:pretrain-*,at:replacing/*-*.safetensors,do:kill9",  # a checkpoint is written and not yet there
    "unit:pretrain-*,at:after_checkpoint,do:kill9",
    "unit:pretrain-*,at:step/5,do:kill9",
    "unit:finetune-*,at:unit_started,do:kill9",
    "unit:finetune-*,at:replacing/history.json,do:raise ENOSPC",
    "unit:finetune-*,at:before_marker,do:kill9",  # all is there, and does not count
    "unit:finetune-*,at:after_marker,do:kill9",
]
IN_THE_DRIVER = [
    "at:replacing/tiny.json,do:kill9",  # the plan
    "at:replacing/manifest.json,do:kill9",
    "unit:prepare-*,at:before_marker,do:kill9",
    "unit:prepare-*,at:after_marker,do:kill9",
    "at:replacing/trials.csv,do:kill9",
    "at:replacing/index.html,do:kill9",  # the report
]
EVERY_STEP = ["--checkpoint-seconds", "0"]


def interruptions(happened: list[dict[str, Any]], drivers: set[int]) -> list[oracle.Kill]:
    """What may have been done twice: not the unit whose marker was there."""
    return [
        oracle.Kill(
            fact["time"],
            fact["time"],
            None if fact["pid"] in drivers else fact["pid"],
            spared=fact["unit"].partition("-")[2] if fact["at"] == "after_marker" else "",
        )
        for fact in happened
        if fact["fault"]
    ]


def gone(place: oracle.Place, seconds: float = 120) -> bool:
    until = time.monotonic() + seconds
    while list(place.processes()) and time.monotonic() < until:
        time.sleep(0.2)
    return not list(place.processes())


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_trials_that_die_at_every_point_of_their_life_repeat_a_step_at_most(
    folder: Path, data: Path, space: Path, reference: Path
) -> None:
    out, notes = folder / "trials", folder / "trials-faults"
    with oracle.place() as place:
        process = place.start(
            tiny.command(space, data, out, *EVERY_STEP), oracle.planned(notes, NOTE, *IN_TRIALS)
        )
        assert process.wait(timeout=900) == 0, place.output()
        assert gone(place)
        assert place.folders() == []
    happened = fault_injection.happened(notes)
    assert {fact["fault"] for fact in happened} == set(range(1 + len(IN_TRIALS)))
    assert oracle.broken(out, reference, interruptions(happened, set())) == []
    steps = Counter((fact["unit"], fact["at"]) for fact in happened if not fact["fault"])
    assert {unit for unit, _ in steps} == {
        f"{marker['kind']}-{name}"
        for name, marker in tiny.markers(out).items()
        if marker["kind"] != "prepare"
    }
    assert (
        sum(steps.values()) - len(steps) <= 2
    )  # the step that died, and that whose checkpoint was not there


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_driver_that_dies_at_every_point_of_its_life_resumes_and_leaves_nothing(
    folder: Path, data: Path, space: Path, reference: Path
) -> None:
    out, notes, drivers, code = folder / "driver", folder / "driver-faults", set(), -9
    planned = oracle.planned(notes, NOTE, *IN_THE_DRIVER)
    with oracle.place() as place:
        while code == -9 and len(drivers) <= len(IN_THE_DRIVER):
            process = place.start(tiny.command(space, data, out), planned)
            drivers.add(process.pid)
            code = process.wait(timeout=900)
            assert gone(place)
        assert code == 0, place.output()
        assert place.folders() == []
    happened = fault_injection.happened(notes)
    assert len(drivers) == 1 + len(IN_THE_DRIVER)
    assert oracle.broken(out, reference, interruptions(happened, drivers)) == []


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_task_that_dies_while_a_shard_is_written_is_started_again(
    folder: Path, data: Path, space: Path, reference: Path
) -> None:
    out, notes = folder / "shards", folder / "shards-faults"
    dying = ["at:replacing/shard-*.parquet,do:kill9", "at:replacing/shard-*.json,do:kill9"]
    with oracle.place() as place:
        process = place.start(tiny.command(space, data, out), oracle.planned(notes, NOTE, *dying))
        assert process.wait(timeout=900) == 0, place.output()
        assert gone(place)
    assert {fact["fault"] for fact in fault_injection.happened(notes)} >= {1, 2}
    assert oracle.broken(out, reference, []) == []


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_trial_that_stops_for_a_while_resumes(folder: Path, data: Path, space: Path, reference: Path) -> None:
    out, notes = folder / "stopped", folder / "stopped-faults"
    stopping = "unit:finetune-*,at:step/4,do:stop"
    with oracle.place() as place:
        process = place.start(tiny.command(space, data, out), oracle.planned(notes, NOTE, stopping))
        while process.poll() is None and not (
            stopped := [f for f in fault_injection.happened(notes) if f["fault"]]
        ):
            time.sleep(0.1)
        time.sleep(5)
        os.kill(int(stopped[0]["pid"]), 18)
        assert process.wait(timeout=900) == 0, place.output()
    assert oracle.broken(out, reference, []) == []
