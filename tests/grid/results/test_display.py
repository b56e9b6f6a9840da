"""What tables say behind the names of datasets and published weights."""

import pandas as pd
import pytest
from made_cells import trial

from grid.query import QueryOptions, answer
from grid.report.tables import tables
from grid.results.cells import find_cells

REMARKS = {"EyePACS": "1,098 images", "HRF": "42 images", "mine": "trained on: unknown"}


def frame(initialization: str, source: str, size: int | None = None, target: str = "HRF") -> pd.DataFrame:
    made = trial(0, 0.5, initialization=initialization, source=source, sample_size=size, target=target)
    found = pd.DataFrame([made])
    found.attrs["notes"] = REMARKS
    return found


@pytest.mark.parametrize(
    ("initialization", "source", "size", "name"),
    [
        ("EyePACS", "EyePACS", None, "EyePACS (1,098 images)"),
        ("EyePACS-600", "EyePACS", 600, "EyePACS-600 (of 1,098 images)"),
        ("M3-CLS", "M3-CLS", None, "M3-CLS (EyePACS: 1,098 images)"),
        ("ISIC2019", "ISIC2019", None, "ISIC2019"),
        ("random", "random", None, "random"),
        ("mine", "mine", None, "mine (trained on: unknown)"),
    ],
)
def test_remarks_stand_behind_names(initialization: str, source: str, size: int | None, name: str) -> None:
    found = find_cells(frame(initialization, source, size))
    (table,) = tables(found)
    assert table.blocks[0].rows[0][0] == name
    assert table.columns == [("HRF (42 images)", 1.0)]
    (row,) = answer(frame(initialization, source, size), QueryOptions("x")).to_dict("records")
    assert (row["initialization"], row["target"]) == (name, "HRF (42 images)")


def test_whole_targets_keep_their_names() -> None:
    (cell,) = find_cells(frame("random", "random", target="DRIVE"))
    assert cell.column == ("DRIVE", 1.0)
