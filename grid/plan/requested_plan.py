"""The space and the plan that the options of a command ask for."""

from grid.options import RunOptions
from grid.plan import datasets, planner
from grid.plan.datasets import SpaceDatasets
from grid.plan.plan import Plan
from grid.space import reader
from grid.space.filters import select_trials
from grid.space.trials import Space
from medpt.data.locate import card_problems, user_cards
from medpt.errors import InputError


def load_space(options: RunOptions) -> Space:
    """Return the space with the trials that --filter and --limit select."""
    try:
        space = reader.load(options.space, user_cards(options.data), options.data)
    except InputError as error:  # a dataset that is not known may be that of a faulty card
        raise InputError([*error.problems, *card_problems(options.data)]) from None
    datasets.check_results(space, options.data, options.local_folder)
    return select_trials(space, options.filters, options.limit)


def build_plan(space: Space, found: SpaceDatasets, options: RunOptions) -> Plan:
    """Return the units of the space, named by the datasets and the published weights found here."""
    published = datasets.published(space, options.imagenet_weights)
    return planner.build_plan(space, found.fingerprints, published, found.contents)
