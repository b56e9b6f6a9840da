"""The spreads of a source over seeds and over pre-trainings."""

import numpy as np
import pytest
from made_cells import cells, trial

from bench.pretraining import spreads


def test_spreads_are_within_and_between_pre_trainings() -> None:
    values = {(0, 0): 0.60, (0, 1): 0.64, (1, 0): 0.70, (1, 1): 0.72, (2, 0): 0.50, (2, 1): 0.52}
    (cell,) = cells(
        *(trial(seed, value, initialization="A", pretrain_seed=p) for (p, seed), value in values.items())
    )
    within, between = spreads(cell)
    assert within == pytest.approx(np.sqrt((8 + 2 + 2) / 3))
    assert between == pytest.approx(np.std([62, 71, 51], ddof=1))
