"""The fast box against the counted one."""

import numpy as np
import pytest

from medpt.data.components import counted_box, largest_box
from medpt.data.decode import opencv


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.4, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("closed", [False, True])
def test_random_masks(density: float, closed: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        foreground = (rng.random(rng.integers(1, 60, 2)) < density).astype(np.uint8)
        if closed:
            foreground = opencv().morphologyEx(foreground, opencv().MORPH_CLOSE, np.ones((5, 5), np.uint8))
        assert largest_box(foreground) == counted_box(foreground)


def test_disc_with_a_hole_and_specks() -> None:
    foreground = np.zeros((200, 220), np.uint8)
    opencv().circle(foreground, (110, 100), 80, 1, -1)
    opencv().circle(foreground, (110, 100), 20, 0, -1)
    foreground[3, 3] = foreground[110, 105] = 1
    assert largest_box(foreground) == counted_box(foreground) == (30, 20, 161, 161)
