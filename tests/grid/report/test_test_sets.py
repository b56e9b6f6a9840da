"""Tables of scores on other test sets, from a frame that is made up."""

import csv
import io

import pandas as pd
import pytest
from made_cells import trial
from rich.console import Console

from grid.report.test_sets import OWN, Score, files, print_test_sets, scores, tables


@pytest.fixture
def found() -> list[Score]:
    return scores(frame())


def frame() -> pd.DataFrame:
    """DRIVE is also tested on HRF, where one seed of ISIC2019 is missing; STARE is not."""

    def tested(seed: int, own: float, other: float | None, initialization: str) -> dict[str, object]:
        row = trial(seed, own, initialization=initialization, source=initialization)
        status = "missing" if other is None else "finished"
        return row | {"items": None, "status@HRF": status, "miou@HRF": other, "items@HRF": None}

    rows = [
        tested(0, 0.8, 0.6, "random"),
        tested(1, 0.9, 0.7, "random"),
        tested(0, 0.85, 0.5, "ISIC2019"),
        tested(1, 0.95, None, "ISIC2019"),
        trial(0, 0.4, target="STARE"),
    ]
    return pd.DataFrame([row | {"status": row.pop("state")} for row in rows])


def test_scores_are_of_targets_that_have_another_test_set(found: list[Score]) -> None:
    assert {score.cell.key.target for score in found} == {"DRIVE"}
    means = {(score.test_set, score.cell.label): round(score.cell.mean, 6) for score in found}
    assert means == {
        (OWN, "random"): 85.0,
        (OWN, "ISIC2019"): 90.0,
        ("HRF", "random"): 65.0,
        ("HRF", "ISIC2019"): 50.0,
    }
    counts = {(score.test_set, score.cell.label): (score.cell.n, score.cell.planned) for score in found}
    assert counts["HRF", "ISIC2019"] == (1, 2)


def test_table_has_a_row_for_each_test_set(found: list[Score]) -> None:
    (table,) = tables(found)
    assert table.title == "DRIVE, U-Net / ResNet-18, mean IoU"
    assert (list(table.rows), table.initializations) == ([OWN, "HRF"], ("random", "ISIC2019"))
    assert table.rows["HRF"]["random"].cell.values.keys() == table.rows[OWN]["random"].cell.values.keys()
    assert table.images("HRF") is None  # no items are stored


def test_printed_table_names_missing_runs() -> None:
    console = Console(width=200, file=io.StringIO(), highlight=False)
    print_test_sets(frame(), console)
    assert isinstance(console.file, io.StringIO)
    (line,) = [one for one in console.file.getvalue().splitlines() if one.startswith("HRF")]
    assert line.split() == ["HRF", "–", "65.00", "±", "7.07", "50.00", "(1", "of", "2)"]


def test_file_has_a_row_for_each_cell_and_test_set(found: list[Score]) -> None:
    (content,) = files(found).values()
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [(row["test_set"], row["initialization"], row["mean"]) for row in rows] == [
        (OWN, "random", "85"),
        (OWN, "ISIC2019", "90"),
        ("HRF", "random", "65"),
        ("HRF", "ISIC2019", "50"),
    ]
    assert files([]) == {}


def test_space_without_other_test_sets_has_no_scores() -> None:
    made = frame()
    plain = made[[name for name in made if "@" not in str(name)]]
    assert scores(plain) == []
