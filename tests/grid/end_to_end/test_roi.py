"""Targets cut around the optic disc: what is planned, in which order it is made, and a whole run."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from grid.execution import data_units
from grid.execution.allocation import Allocations
from grid.execution.coordinator import Coordinator
from grid.execution.failures import RetryPolicy
from grid.plan import cost
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan, Unit
from grid.plan.planner import build_plan
from grid.space import reader
from grid.store.store import Store
from medpt import files, phantom
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.specs import Finetune, Prepare

SPACE = """
title: cups around their discs
size: 32
datasets:
  DRISHTI-GS: {roi: 64}
pretrain: {min_steps: 0, max_steps: 12, evaluate_every: 6}
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
controls: false
experiments:
  - initialization: [INITIALIZATION]
    target: [DRISHTI-GS]
    seed: [0]
"""


def planned(folder: Path, initialization: str, text: str = SPACE) -> Plan:
    path = tiny.written(folder, text.replace("INITIALIZATION", initialization))
    found = reader.load(str(path))
    return build_plan(found, {name: f"print of {name}" for name in space_datasets(found)}, {})


def of(made: Plan, label: str) -> Unit:
    (found,) = [unit for unit in made.units.values() if unit.label == label]
    return found


def test_target_alone_is_cut_and_waits_for_a_detector(tmp_path: Path) -> None:
    made = planned(tmp_path, "random, SS-Context, REFUGE-OD")
    cut, teacher = of(made, "DRISHTI-GS around the optic disc"), of(made, "REFUGE-OD")
    detector = of(made, "REFUGE-OD · unet/resnet18")
    assert isinstance(cut.spec, Prepare)
    assert isinstance(teacher.spec, Prepare)
    assert (cut.spec.pipeline, cut.spec.detector) == ("roi(64)|resize(32)|clahe(2,8)", detector.digest)
    assert cut.needs == (detector.digest,)
    assert (teacher.spec.detector, teacher.needs) == (None, ())
    assert teacher.spec.pipeline == "crop_fundus(10)|resize(32)|clahe(2,8)"
    assert detector.needs == (teacher.digest,)
    assert cost.trains(detector)
    data = {unit.spec.data for unit in made.units.values() if isinstance(unit.spec, Finetune)}
    assert data == {cut.digest}
    assert made.counts() == {"prepare": 2, "pretrain": 3, "finetune": 3}
    assert of(made, "SS-Context on DRISHTI-GS · unet/resnet18").spec.data == (cut.digest,)  # type: ignore[union-attr]


def test_detector_is_the_source_of_figure_4_and_whole_frames_keep_their_names(tmp_path: Path) -> None:
    alone, with_source = (planned(tmp_path, names) for names in ("random", "random, REFUGE-OD"))
    assert set(alone.units) < set(with_source.units)
    whole = planned(tmp_path, "random", SPACE.replace("{roi: 64}", "{}"))
    assert whole.counts() == {"prepare": 1, "finetune": 1}
    assert all(unit.spec.dataset != "REFUGE-OD" for unit in whole.units.values())
    with_refuge = planned(tmp_path, "REFUGE-OD", SPACE.replace("{roi: 64}", "{}"))
    assert of(with_refuge, "REFUGE-OD").digest == of(alone, "REFUGE-OD").digest


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("DRISHTI-GS: {roi: 5}", "`roi` is 5; a whole number from 32 to 4096 is accepted"),
        ("DRISHTI-GS: {roi: big}", "`roi` is 'big'"),
        ("DRISHTI-GS: {roi: 64, pipeline: resize(32)}", "`pipeline` beside `roi`"),
        ("DRISHTI-GS: {pipeline: 'roi(64)|resize(32)'}", "the key `roi` is accepted: it plans a detector"),
        ("CHAOS-CT: {roi: 64}", "CHAOS-CT is ct; `roi` is accepted with fundus photographs"),
    ],
)
def test_mistakes_are_reported(tmp_path: Path, settings: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, "random", SPACE.replace("DRISHTI-GS: {roi: 64}", settings))
    assert told in str(caught.value)
    assert ":5: " in str(caught.value)


def test_dataset_of_the_detector_is_asked_for(tmp_path: Path) -> None:
    phantom.write("DRISHTI-GS", tmp_path / "data" / "DRISHTI-GS", train=2, test=2, size=48)
    path = tiny.written(tmp_path, SPACE.replace("INITIALIZATION", "random"))
    told = tiny.run(path, tmp_path / "data", tmp_path / "out", code=2)
    assert "REFUGE-OD: no folder REFUGE in" in told
    assert "`roi` of DRISHTI-GS needs them to train the optic-disc detector" in told


def test_preparing_without_a_grid_refuses_to_cut_around_discs(tmp_path: Path) -> None:
    import sys

    phantom.write("DRISHTI-GS", tmp_path / "d", train=2, test=2, size=48)
    command = [sys.executable, "-m", "medpt.data", "prepare", "DRISHTI-GS", str(tmp_path / "d")]
    done = subprocess.run(
        [*command, "--to", str(tmp_path / "to"), "--pipeline", "roi(32)|resize(32)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        "roi needs a disc detector, which only a grid trains: `roi` of a dataset in a space file"
        in done.stderr
    )


class Race:
    """A plan run without Ray: preparation in its thread, training by the test."""

    def __init__(self, made: Plan, root: Path, broken: set[str], todo: set[str] | None = None) -> None:
        self.made, self.store, self.broken = made, Store(root), broken
        self.store.create()
        self.events: list[tuple[str, str]] = []
        names = set(made.units) if todo is None else todo
        policy = RetryPolicy(Allocations())
        self.coordinator = Coordinator(made, names, self.store, policy, [self.hear])

    def hear(self, event: str, unit: Unit) -> None:
        self.events.append((event, unit.label))

    def end(self, name: str) -> None:
        if self.made.units[name].label in self.broken:
            self.store.fail(name, "diverged", "no number")
        else:
            files.write_json(self.store.root / "done" / f"{name}.json", {})

    def prepare(self, units: Sequence[Unit]) -> Iterator[tuple[str, Any]]:
        yield from ((unit.digest, None) for unit in units)

    def publish(self, unit: Unit, *rest: Any) -> Any:
        self.end(unit.digest)
        return "finished"

    def run(self) -> list[tuple[str, str]]:
        arguments = (self.coordinator, self.store, {"prepare": self.prepare}, self.publish)
        thread = threading.Thread(target=data_units.prepare_data_units, args=arguments, daemon=True)
        thread.start()
        turn = 0
        while config := self.coordinator.next_trial(f"trial {turn}"):
            self.end(config["digest"])
            self.coordinator.trial_ended(f"trial {turn}", "finished")
            turn += 1
        thread.join(10)
        assert not thread.is_alive()
        return self.events


CUT, TEACHER, DETECTOR = "DRISHTI-GS around the optic disc", "REFUGE-OD", "REFUGE-OD · unet/resnet18"
TRIAL = "random → DRISHTI-GS · unet/resnet18 · 0"


def test_data_that_need_training_are_prepared_after_it(tmp_path: Path) -> None:
    events = Race(planned(tmp_path, "random"), tmp_path / "out", set()).run()
    assert events == [
        (event, label) for label in (TEACHER, DETECTOR, CUT, TRIAL) for event in ("started", "finished")
    ]


@pytest.mark.parametrize(
    ("broken", "lost"),
    [(TEACHER, [DETECTOR, CUT, TRIAL]), (DETECTOR, [CUT, TRIAL]), (CUT, [TRIAL])],
)
def test_what_needs_a_unit_that_fails_is_not_waited_for(tmp_path: Path, broken: str, lost: list[str]) -> None:
    events = Race(planned(tmp_path, "random"), tmp_path / "out", {broken}).run()
    assert [label for event, label in events if event == "blocked"] == lost
    assert ("failed", broken) in events


def test_detector_that_diverged_before_is_not_waited_for_again(tmp_path: Path) -> None:
    made = planned(tmp_path, "random")
    todo = {name for name, unit in made.units.items() if unit.label != DETECTOR}
    events = Race(made, tmp_path / "out", set(), todo).run()
    assert [label for event, label in events if event == "blocked"] == [CUT, TRIAL]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_run_cuts_around_the_discs_it_found(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    phantom.write("REFUGE-OD", data / "REFUGE", train=24, test=2, size=96)
    phantom.write("DRISHTI-GS", data / "DRISHTI-GS", train=4, test=4, size=128)
    text = SPACE.replace("INITIALIZATION", "random").replace(
        "max_steps: 12, evaluate_every: 6", "max_steps: 40, batch_size: 8, learning_rate: 0.001"
    )
    path = tiny.written(tmp_path, text + "    backbone: [shufflenet_v2]\n")
    tiny.run(path, data, out)
    found = {marker["label"]: (name, marker) for name, marker in tiny.markers(out).items()}
    assert set(found) == {TEACHER, DETECTOR, CUT, TRIAL.replace("resnet18", "shufflenet_v2")}
    manifest = Manifest.read(out / "units" / found[CUT][0])
    assert manifest.prepare.detector == found[DETECTOR][0]
    assert manifest.images == {"train": 4, "test": 4}
    share = {part: counts["optic cup"] / sum(counts.values()) for part, counts in manifest.counts.items()}
    assert all(0.03 < value < 0.4 for value in share.values())  # 0.02 of a whole frame
    assert np.isfinite(found[TRIAL.replace("resnet18", "shufflenet_v2")][1]["metrics"]["full_frame_miou"])
