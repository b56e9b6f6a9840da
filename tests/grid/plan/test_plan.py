"""Plans as data: named by their content, read as they were written, laid together."""

import json
from dataclasses import replace
from pathlib import Path

import made_space

from grid.plan.plan import Plan, merge
from grid.plan.planner import build_plan
from grid.space.reader import load
from grid.space.trials import Trial
from medpt.data.catalog import card

TEXT = """
size: 64
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    seed: [0, 1]
analysis:
  cmd: {datasets: [ISIC2019, DRIVE]}
"""


def planned(folder: Path, text: str = TEXT) -> Plan:
    return made_space.plan(folder, text)


def first(plan: Plan, count: int) -> Plan:
    return replace(plan, trials=plan.trials[:count], analyses=(), selection=f"--limit {count}")


def test_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.digest == plan.digest
    assert again.sizes == plan.sizes == dict.fromkeys(plan.sizes, 64)


def test_plan_digest_changes_with_the_content(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    other = planned(tmp_path, TEXT.replace("seed: [0, 1]", "seed: [0, 2]"))
    assert len({plan.digest, other.digest, first(plan, 1).digest, planned(tmp_path).digest}) == 3


def test_every_trial_of_a_built_in_space_is_read_as_it_was_written() -> None:
    for trial in load("paper").trials:
        assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


def test_merge_of_a_plan_and_a_selection_of_it_is_the_plan(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    for plans in ([plan, first(plan, 1)], [first(plan, 1), plan]):
        merged = merge(plans)
        assert set(merged.trials) == set(plan.trials)
        assert merged.units == plan.units
        assert merged.analyses == plan.analyses
        assert merged.selection == ""


def test_merge_of_selections_has_each_of_them_on_a_line(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    merged = merge([first(plan, 1), first(plan, 2)])
    assert merged.selection == "--limit 1\n--limit 2"
    assert merge([merged, first(plan, 1)]).selection == merged.selection


def test_merge_takes_the_latest_unit_of_a_trial(tmp_path: Path) -> None:
    """A trial keeps its identity where its data have changed. Units that nothing needs are excluded."""
    plan = planned(tmp_path)
    changed = {digest: f"new {digest}"[:64] for digest in plan.units}
    units = {changed[name]: unit for name, unit in plan.units.items()}
    latest = replace(plan, trials=tuple((trial, changed[name]) for trial, name in plan.trials), units=units)
    merged = merge([replace(plan, analyses=()), replace(latest, analyses=())])
    assert merged.trials == latest.trials
    assert {name for _, name in plan.trials}.isdisjoint(merged.units)


def test_merge_measures_a_trial_of_two_blocks_by_one_unit(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    trial = plan.trials[0][0]
    other = replace(plan, trials=((replace(trial, experiment="other"), "f" * 64),), selection="--limit 1")
    merged = dict(merge([plan, other]).trials)
    assert {merged[trial], merged[replace(trial, experiment="other")]} == {"f" * 64}


def test_plan_keeps_the_cards_of_the_users_datasets_that_it_reads(tmp_path: Path) -> None:
    clinic, other = (replace(card("DRIVE"), name=name, folders=(name,)) for name in ("Clinic", "Other"))
    path = tmp_path / "own.yaml"
    path.write_text(TEXT.replace("ISIC2019", "CHAOS-CT").replace("DRIVE", "Clinic"))
    space = load(str(path), {"Clinic": clinic, "Other": other})
    plan = build_plan(space, {"Clinic": "a print", "CHAOS-CT": "another"}, {})
    assert plan.cards == {"Clinic": clinic}
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert (again.cards, again.digest) == (plan.cards, plan.digest)
    assert merge([plan, first(plan, 1)]).cards == plan.cards
    assert "cards" not in planned(tmp_path).to_json()
