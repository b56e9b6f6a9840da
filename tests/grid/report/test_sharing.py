"""Images are shown by the user's choice, else by the licence of each dataset."""

from dataclasses import replace

import pytest

from grid.report.provenance import Data
from grid.report.sharing import Sharing, sharing
from grid.results.stored_space import Prepared
from medpt.data.catalog import card
from medpt.specs import Prepare


def data(name: str, *, synthetic: bool = False) -> Data:
    spec = Prepare(dataset=name, fingerprint="", pipeline="")
    return Data(Prepared("", spec, name, None), card(name), synthetic)


def test_default_is_what_each_licence_allows() -> None:
    found = sharing(None, [data("HRF"), data("DRIVE"), data("MESSIDOR", synthetic=True)])
    assert [found.shows(name) for name in ("HRF", "DRIVE", "MESSIDOR", "unknown")] == [
        True,
        False,
        True,
        False,
    ]
    assert found.hidden == ["DRIVE"]
    assert not found.shows("HRF", "DRIVE")
    assert not found.everything
    assert sharing(None, [data("HRF")]).everything


@pytest.mark.parametrize("choice", [True, False])
def test_choice_of_the_user_is_for_all_datasets(choice: bool) -> None:
    found = Sharing(choice, frozenset({"HRF"}), ("HRF", "DRIVE"))
    assert [found.shows("HRF"), found.shows("DRIVE"), found.everything] == [choice] * 3
    assert found.hidden == ([] if choice else ["HRF", "DRIVE"])


def test_cohorts_of_slides_count_by_their_cards() -> None:
    cohorts = [card("TCGA-LGG"), replace(card("TCGA-GBM"), licence="on request")]
    found = sharing(None, [], cohorts)
    assert (found.shows("TCGA-LGG"), found.shows("TCGA-GBM")) == (True, False)
    assert sharing(None, [], cohorts, ["TCGA-GBM"]).everything
