"""What a report computes of the cells of one table or figure."""

import pytest
from made_cells import cells, made, trial

from grid.report import trial_section


def test_gains_use_common_seeds_only() -> None:
    random = made("random", [0.5, 0.6, 0.9])
    trained = cells(*(trial(n, v, initialization="ISIC2019") for n, v in ((1, 0.7), (2, 0.92), (3, 0.1))))
    (gain,) = trial_section.gains([*random, *trained])
    assert gain.seeds == 2
    assert gain.difference.estimate == pytest.approx((10 + 2) / 2)
