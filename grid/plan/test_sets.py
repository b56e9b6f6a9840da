"""Other test sets of a space's targets: units that test networks there, and columns of subgroups."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from grid.plan.data_request import DataRequest
from grid.space.test_sets import test_set_problems
from grid.space.trials import Settings, Trial
from grid.store.store import Store
from grid.store.subgroups import write_groups
from medpt.data import leakage
from medpt.data.card import DatasetCard
from medpt.data.corruptions import STRENGTHS, Corruption
from medpt.data.dataset import Dataset
from medpt.data.subgroups import groups_of_test_items
from medpt.errors import InputError
from medpt.specs import Evaluate, Finetune, Prepare, Pretrain

if TYPE_CHECKING:
    from grid.plan.plan import Plan
    from grid.plan.planner import Planner


class PlannedTest(NamedTuple):
    """A test set, and the digests of the trial's unit and of the unit that tests its network there."""

    name: str
    trial: str
    digest: str


def add_tests(planner: "Planner", trials: Iterable[tuple[Trial, str]]) -> tuple[PlannedTest, ...]:
    """Plan the tests of trials, given with their units; units that keep no network have none."""
    return tuple(dict.fromkeys(test for trial, digest in trials for test in _tests(planner, trial, digest)))


def _tests(planner: "Planner", trial: Trial, digest: str) -> Iterator[PlannedTest]:
    unit, entry = planner.units[digest], trial.settings.of(trial.target)
    if not isinstance(unit.spec, Finetune):
        return
    for name in entry.test_also:
        spec = _external(planner, trial, unit.spec, name)
        yield PlannedTest(name, digest, planner.add(spec, f"{unit.label} tested on {name}"))
    for each in (Corruption(kind, strength) for kind in entry.corruptions for strength in STRENGTHS):
        spec = Evaluate(
            digest,
            unit.spec.dataset,
            unit.spec.data,
            corruption=each.kind,
            strength=each.strength,
            evaluate_by=unit.spec.evaluate_by,
        )
        yield PlannedTest(each.name, digest, planner.add(spec, f"{unit.label} tested under {each.name}"))


def _external(planner: "Planner", trial: Trial, trained: Finetune, name: str) -> Evaluate:
    """The images are prepared as those of a source: all of them, by the pipeline of their own dataset."""
    settings, card = trial.settings, trial.settings.card(name)
    request = DataRequest(name, roi=settings.of(trial.target).roi, all_images=True)
    return Evaluate(
        trained.digest,
        name,
        planner.add_data(request, settings),
        target_data=trained.data,
        source_data=tuple(_source_data(planner, trained, settings, card)),
        evaluate_by=card.evaluate_by,
    )


def _source_data(
    planner: "Planner", trained: Finetune, settings: Settings, card: DatasetCard
) -> Iterator[str]:
    """Yield the data of the pre-training that can have images of the external dataset."""
    source = planner.units.get(trained.weights or "")
    for data in source.spec.data if source and isinstance(source.spec, Pretrain) else ():
        prepared = planner.units[data].spec
        if isinstance(prepared, Prepare) and data != trained.data:
            yield from [data] if leakage.comparable([settings.card(prepared.dataset)], card) else ()


def subgroup_columns(planner: "Planner", trials: Iterable[tuple[Trial, str]]) -> dict[str, str]:
    """Return the column that divides the test items of each target's data, by the digest of the data."""
    found = {
        getattr(planner.units[digest].spec, "data", ""): trial.settings.of(trial.target).subgroup
        for trial, digest in trials
    }
    return {data: column for data, column in found.items() if column}


def test_problems(plan: "Plan", opened: Mapping[str, Dataset]) -> list[str]:
    """Return each external test set that does not fit its target, and each unfit column of subgroups."""
    problems = [
        f"test_also: {problem}"
        for target, other in _external_sets(plan)
        if target in opened and other in opened
        for problem in test_set_problems(opened[target].info, opened[other].info)
    ]
    for _, spec, column in _subgroups(plan):
        try:
            if spec.dataset in opened:
                groups_of_test_items(opened[spec.dataset], spec, column)
        except InputError as error:
            problems += error.problems
    return problems


def record_subgroups(plan: "Plan", opened: Mapping[str, Dataset], store: Store) -> None:
    """Write the subgroup of each test item of targets."""
    for data, spec, column in _subgroups(plan):
        write_groups(store, data, column, groups_of_test_items(opened[spec.dataset], spec, column))


def _subgroups(plan: "Plan") -> Iterator[tuple[str, Prepare, str]]:
    """Yield the digest and the specification of each prepared target with a column, and the column."""
    for data, column in plan.subgroups.items():
        spec = plan.units[data].spec if data in plan.units else None
        if isinstance(spec, Prepare):
            yield data, spec, column


def external_tests(plan: "Plan") -> Iterator[PlannedTest]:
    """Yield the tests on other datasets, by whose names they are called."""
    for test in plan.tests:
        spec = plan.units[test.digest].spec
        if isinstance(spec, Evaluate) and spec.target_data:
            yield test


def _external_sets(plan: "Plan") -> dict[tuple[str, str], None]:
    """Return each target with each of its external test sets."""
    trained = ((plan.units[test.trial].spec, test.name) for test in external_tests(plan))
    return {(spec.dataset, name): None for spec, name in trained if isinstance(spec, Finetune)}
