"""What a report computes of the cells of one table or figure."""

from typing import Any

from made_cells import made

from grid.report import trial_section


def test_gains_are_the_known_differences_in_the_order_of_cells() -> None:
    random = made("random", [0.5, 0.6, 0.9])
    trained = made("ISIC2019", [0.7, 0.92, 0.1])
    known: Any = {trained[0].key: "difference"}
    assert trial_section.gains([*random, *trained], known) == ["difference"]
    assert trial_section.gains(random, known) == []
