"""The orders of nine tiles that a jigsaw puzzle may have been shuffled into.

Promises: equal counts and seeds give equal arrays everywhere; rows are distinct and far apart. 1,000 of them
take two seconds, so nothing is kept on disk.
"""

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

TILES = 9


@lru_cache
def maximin(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """`count` permutations of 0..8 as a read-only array (count, 9), chosen greedily from all 9!.

    The first is drawn; each next one has the largest least Hamming distance to those chosen, among them the
    largest mean distance, among them it is drawn. Noroozi & Favaro 2016 (section 4) take the mean alone,
    which lets classes differ by one swapped pair: least distance 2 in place of 6 (100) and 5 (1,000).
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
    """Mean and least Hamming distance between any two rows; random permutations differ in 8.0 of 9."""
    distance = (rows[:, None] != rows[None]).sum(2)[np.triu_indices(len(rows), 1)]
    return float(distance.mean()), int(distance.min())
