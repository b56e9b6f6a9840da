"""Everything that a run refuses of its data, for the run itself, `--dry-run` and the doctor."""

from grid.plan import datasets
from grid.plan.datasets import SpaceDatasets
from grid.plan.plan import Plan
from grid.plan.sizes import size_problems
from grid.plan.test_sets import test_problems
from grid.space.trials import Space
from medpt.data.dataset import Dataset
from medpt.errors import InputError


def open_checked(space: Space, plan: Plan, found: SpaceDatasets) -> dict[str, Dataset]:
    """Open every dataset of a plan.

    Raises InputError with all problems: of data, splits and sizes, external test sets, subgroups.
    """
    opened, problems = datasets.open_each(space, found)
    problems = [*found.problems, *problems, *size_problems(plan, opened), *test_problems(plan, opened)]
    if problems:
        raise InputError(problems)
    return opened


def refused(space: Space, plan: Plan, found: SpaceDatasets) -> list[str]:
    """Return what a run would refuse of the data that were found."""
    try:
        open_checked(space, plan, found)
    except InputError as error:
        return [problem for problem in error.problems if problem not in found.problems]
    return []


def check_found(space: Space, plan: Plan, found: SpaceDatasets) -> None:
    """Raise InputError with what a run would refuse of the data that were found."""
    if problems := refused(space, plan, found):
        raise InputError(problems)
