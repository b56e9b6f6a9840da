"""The orders of nine tiles between which a jigsaw network has to tell.

Equal counts and seeds give equal arrays on every machine; rows are distinct and far apart. 1,000 of them take
two seconds, so nothing is stored.
"""

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

TILES = 9


@lru_cache
def maximin(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Choose `count` permutations of 0..8 greedily from all 9!, as a read-only array (count, 9).

    The first is drawn at random. Each next one maximises the smallest Hamming distance to those chosen, then
    the mean distance; ties are drawn at random. Noroozi & Favaro 2016 (section 4) maximise the mean alone, by
    which two classes may differ in one swapped pair only: the smallest distance is 2 instead of 6 (100
    permutations) or 5 (1,000).
    """
    pool = np.array(list(permutations(range(TILES))), dtype=np.uint8).T.copy()
    rng = np.random.Generator(np.random.PCG64(seed))
    total = np.zeros(pool.shape[1], dtype=np.int32)
    least = np.full(pool.shape[1], TILES + 1, dtype=np.uint8)
    chosen = []
    for _ in range(count):
        near = np.flatnonzero(least == least.max())
        best = near[total[near] == total[near].max()]
        chosen.append(best[rng.integers(len(best))])
        distance = _distances(pool, chosen[-1])
        total += distance
        np.minimum(least, distance, out=least)
    rows = pool[:, chosen].T.copy()
    rows.flags.writeable = False
    return rows


def _distances(pool: NDArray[np.uint8], one: np.intp) -> NDArray[np.uint8]:
    """Hamming distances of every column of `pool` (9, n) to column `one`."""
    distance = np.zeros(pool.shape[1], dtype=np.uint8)
    for row in pool:
        distance += row != row[one]
    return distance


def spread(rows: NDArray[np.uint8]) -> tuple[float, int]:
    """Return the mean and the smallest Hamming distance between two rows; random ones differ in 8.0 of 9."""
    distance = (rows[:, None] != rows[None]).sum(2)[np.triu_indices(len(rows), 1)]
    return float(distance.mean()), int(distance.min())
