"""Which experiments belong to which table or figure of the paper."""

import pytest

from grid import space
from grid.report.paper_items import PAPER_ITEMS
from medpt.data.catalog import card


@pytest.mark.parametrize(
    ("experiment", "target", "names"),
    [
        ("figure 3", "DRIVE", ["Figure 3b"]),
        ("figure 3", "MESSIDOR", ["Figure 3a"]),
        ("figure 3a", "MESSIDOR", ["Figure 3a"]),
        ("Table 2", "DRIVE", ["Table 2"]),
        ("figure 7a, best single source of chest X-rays", "ChestXRay2017", ["Figure 7a"]),
        ("figure 7b, classification", "MESSIDOR", ["Figure 7b"]),
        ("table 6, no network", "TCGA-GBM", ["Table 6"]),
        ("table 20", "DRIVE", []),
        ("figure 50", "DRIVE", []),
        ("our table 2", "DRIVE", []),
    ],
)
def test_experiments_belong_to_the_item_that_they_name(
    experiment: str, target: str, names: list[str]
) -> None:
    assert [item.name for item in PAPER_ITEMS if item.holds(experiment, card(target).task)] == names


@pytest.mark.parametrize("name", ["paper", "paper-mini"])
def test_every_trial_of_the_paper_belongs_to_one_item(name: str) -> None:
    trials = space.load(name).trials
    found = [item for t in trials for item in PAPER_ITEMS if item.holds(t.experiment, t.task)]
    assert len(found) == len(trials)
    assert {item.name for item in found} == {item.name for item in PAPER_ITEMS if item.experiments}
