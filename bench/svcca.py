"""Streaming SVCCA beside plain singular value decompositions.

    python -m bench.svcca [--rows 100000] [--channels 64] [--repeats 3] [--device cpu]

Both compare two float32 arrays (rows, channels) that share an eighth of their directions, on one thread,
and give the same correlations to 1e-6. Ours is `medpt.analysis.svcca`: covariances in float64, then
eigenvectors of channels × channels. The peer is numpy: centre, two thin SVDs in float64, and the singular
values of the product of the bases. Its memory grows with the rows, ours does not. Expected: 5 times faster.
Takes 20 s.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from bench.figure import Figure, best, show
from medpt.analysis import svcca

VARIANCE, TARGET = 0.99, 5.0


def activations(rows: int, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((rows, max(1, channels // 8)), np.float32)
    sides = []
    for _ in range(2):
        mixing = rng.standard_normal((shared.shape[1], channels), np.float32)
        sides.append(shared @ mixing + rng.standard_normal((rows, channels), np.float32))
    return sides[0], sides[1]


def plain(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """As Raghu et al. 2017 write it."""
    bases = []
    for side in (x, y):
        centred = side.astype(np.float64) - side.mean(0, dtype=np.float64)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        bases.append(u[:, : int((np.cumsum(s**2) / (s**2).sum() < VARIANCE).sum()) + 1])
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    x, y = activations(options.rows, options.channels)
    left, right = (torch.from_numpy(side).to(options.device) for side in (x, y))
    np.testing.assert_allclose(svcca(left, right, VARIANCE), plain(x, y), atol=1e-6)
    ours = best(lambda: svcca(left, right, VARIANCE), options.repeats) * 1e3
    peer = best(lambda: plain(x, y), options.repeats) * 1e3
    name = f"svcca, {options.rows:,} x {options.channels}"
    show(Figure(name, ours, peer, "ms", "plain SVDs, numpy", TARGET))


if __name__ == "__main__":
    main()
