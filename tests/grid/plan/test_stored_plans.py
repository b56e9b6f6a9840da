"""Plans in a store: what a start does to the record of its space, and whose results a name or file has."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import made_space
import pytest

from grid.plan.plan import Plan
from grid.plan.stored_plans import find_space, read_plan, read_space, record_start, recorded_path
from grid.space.reader import FOLDER, load
from grid.store.store import Store
from medpt.errors import InputError

TEXT = """
size: 64
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    seed: [0, 1]
"""
STORE_0_3_1 = Path(__file__).parents[2] / "golden" / "store-0.3.1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "out")
    made.create()
    return made


def planned(folder: Path, seeds: str = "0, 1") -> Plan:
    folder.mkdir(exist_ok=True)
    return made_space.plan(folder, TEXT.replace("0, 1", seeds), "study")


def selected(plan: Plan, count: int = 1) -> Plan:
    return replace(plan, trials=plan.trials[:count], selection=f"--limit {count}")


def trials(store: Store, space: str = "study") -> set[tuple[str, int]]:
    plan = find_space(store, space)
    assert plan is not None
    return {(trial.initialization, trial.seed) for trial, _ in plan.trials}


def test_start_writes_the_plan_under_its_digest(store: Store, tmp_path: Path) -> None:
    plan = planned(tmp_path)
    record_start(store, plan, tmp_path / "study.yaml")
    assert read_plan(store, plan.digest) == read_space(store, "study") == plan
    assert store.spaces() == ["study"]


def test_start_replaces_the_record_and_keeps_the_plan_of_running_trials(store: Store, tmp_path: Path) -> None:
    before, after = planned(tmp_path), planned(tmp_path, "0")
    record_start(store, before, tmp_path / "study.yaml")
    record_start(store, after, tmp_path / "study.yaml")
    assert trials(store) == {("random", 0), ("ISIC2019", 0)}
    assert read_plan(store, before.digest) == before


def test_selection_is_added_to_the_record(store: Store, tmp_path: Path) -> None:
    plan, path = planned(tmp_path), tmp_path / "study.yaml"
    record_start(store, plan, path)
    for _ in range(2):
        record_start(store, selected(plan), path)
    assert read_space(store, "study") is not None
    assert len(trials(store)) == 4
    record = store.space("study")
    assert record is not None
    assert record.plans == (plan.digest, selected(plan).digest)


def test_selections_alone_are_all_that_was_asked_for(store: Store, tmp_path: Path) -> None:
    plan, path = planned(tmp_path), tmp_path / "study.yaml"
    for count in (1, 2):
        record_start(store, selected(plan, count), path)
    assert len(trials(store)) == 2


def test_another_file_of_that_name_is_refused(store: Store, tmp_path: Path) -> None:
    first, second = planned(tmp_path / "first"), planned(tmp_path / "second", "2, 3")
    record_start(store, first, tmp_path / "first" / "study.yaml")
    for plan in (second, selected(second)):
        with pytest.raises(InputError, match=r"second/study\.yaml: .* another file .*first/study\.yaml"):
            record_start(store, plan, tmp_path / "second" / "study.yaml")
    assert trials(store) == {(name, seed) for name in ("random", "ISIC2019") for seed in (0, 1)}


def test_moved_file_with_the_trials_of_before_is_accepted(store: Store, tmp_path: Path) -> None:
    record_start(store, planned(tmp_path / "first"), tmp_path / "first" / "study.yaml")
    moved = tmp_path / "second" / "study.yaml"
    record_start(store, selected(planned(tmp_path / "second")), moved)
    record_start(store, planned(tmp_path / "second", "0, 1, 2"), moved)
    assert len(trials(store, str(moved))) == 6


def test_results_of_another_file_are_not_given_for_a_file(store: Store, tmp_path: Path) -> None:
    record_start(store, planned(tmp_path / "first"), tmp_path / "first" / "study.yaml")
    assert len(trials(store, str(tmp_path / "first" / "study.yaml"))) == 4
    with pytest.raises(InputError, match=r"second/study\.yaml was not run into .* of .*first/study\.yaml"):
        find_space(store, str(tmp_path / "second" / "study.yaml"))


def test_built_in_space_has_one_path_in_every_installation(tmp_path: Path) -> None:
    assert recorded_path(load("demo").path) == "search_spaces/demo.yaml"
    copy = shutil.copy(FOLDER / "demo.yaml", tmp_path)
    assert recorded_path(Path(copy)) == str(Path(copy).resolve())


def test_plan_of_version_0_3_1_is_a_record(tmp_path: Path) -> None:
    store = Store(shutil.copytree(STORE_0_3_1, tmp_path / "out"))
    assert store.spaces() == ["tiny"]
    plan = find_space(store, "anywhere/tiny.yaml")
    assert plan is not None
    assert {(trial.protocol, trial.source_protocol) for trial, _ in plan.trials} == {("", "")}
    assert {trial.task for trial, _ in plan.trials} == {"classification", "segmentation"}
    stored = json.loads((store.root / "plans" / "tiny.json").read_text())
    assert set(plan.units) == set(stored["units"])


def test_unknown_space_has_no_plan(store: Store) -> None:
    assert find_space(store, "study") is None
    with pytest.raises(InputError, match=f"plans/{'f' * 64}.json is missing"):
        read_plan(store, "f" * 64)


@pytest.mark.parametrize("folder", ["plans", "spaces"])
@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"space": "study"}'])
def test_damaged_record_is_named_and_replaced_by_the_next_start(
    store: Store, tmp_path: Path, folder: str, content: str
) -> None:
    plan = planned(tmp_path)
    record_start(store, plan, tmp_path / "study.yaml")
    (document,) = (store.root / folder).iterdir()
    document.write_text(content)
    with pytest.raises(InputError, match=f"{folder}/{document.name} is damaged"):
        find_space(store, "study")
    record_start(store, plan, tmp_path / "study.yaml")
    assert find_space(store, "study") == plan


def test_edited_plan_is_damaged(store: Store, tmp_path: Path) -> None:
    plan = planned(tmp_path)
    record_start(store, plan, tmp_path / "study.yaml")
    path = store.root / "plans" / f"{plan.digest}.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))
    with pytest.raises(InputError, match=f"{path.name} is damaged"):
        read_space(store, "study")
