"""Modality distances of several datasets, and controls to compare them with.

A point of cmv is nearly a random projection of its subset's mean image (specification, section 2.3). The
controls are the distances of mean colours, those with an average pool (F is then exactly linear), and those
of images without their colour cast.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medpt.analysis.cmd import PAPER_SCALES, Images, average_cmd, check_images, cmd, cmv, subset_means
from medpt.analysis.settings import Settings
from medpt.errors import InputError

Matrix = NDArray[np.float64]
Report = Callable[[str], object]


@dataclass(frozen=True)
class Distances:
    """D datasets: names, number of images, and symmetric matrices (D, D); lower = more alike."""

    names: tuple[str, ...]
    images: tuple[int, ...]
    coordinates: Mapping[str, NDArray[np.float64]]  # init: (seeds, D, t, 2)
    per_init: Mapping[str, Matrix]  # cmd, mean over seeds
    scales: Mapping[str, float]  # epsilon as measured: cmd of `reference` with itself
    reference: str
    average: Matrix  # average cmd; 1 where the reference meets itself, unless `settings` say otherwise
    settings: Settings

    def nearest(self) -> tuple[str, ...]:
        """Return for each dataset the other one with the smallest average cmd."""
        others = self.average + np.diag(np.full(len(self.names), np.inf))
        return tuple(self.names[k] for k in others.argmin(1))


def distances(
    sets: Mapping[str, Images], settings: Settings, device: str = "cpu", report: Report = lambda line: None
) -> Distances:
    """Compute cmd and average cmd of each pair; `report` is called with a line for each network.

    Epsilon comes from the first of `settings.reference` among the names, else from the first set. Raises
    InputError for fewer than two sets and as `coordinates` does.
    """
    if len(sets) < 2:
        raise InputError(f"{len(sets)} dataset; two or more are compared")
    check_images(sets)
    names = tuple(sets)
    reference = next((name for name in settings.reference if name in sets), names[0])
    clouds: dict[str, NDArray[np.float64]] = {}
    for init in settings.inits:
        runs = []
        for seed in range(settings.seeds):
            runs.append(list(cmv(sets, init, seed, settings, device).values()))
            report(f"{init}, network {seed + 1} of {settings.seeds}")
        clouds[init] = np.array(runs)
    counts = tuple(len(images) for images in sets.values())
    return measured(clouds, names, counts, reference, settings)


def measured(
    clouds: Mapping[str, NDArray[np.float64]],
    names: tuple[str, ...],
    images: tuple[int, ...],
    reference: str,
    settings: Settings,
) -> Distances:
    """Compute distances from given clouds: (seeds, D, t, 2) by init, datasets in the order of `names`.

    Raises InputError if `reference`, one of the names, is a single point, which has no cmd with itself.
    """
    per_init = {init: mean_matrix(cloud, settings) for init, cloud in clouds.items()}
    row = names.index(reference)
    scales = {init: float(matrix[row, row]) for init, matrix in per_init.items()}
    used = PAPER_SCALES if settings.paper_scales else scales
    average = average_cmd(per_init, used, settings.scaling)
    return Distances(names, images, clouds, per_init, scales, reference, average, settings)


def mean_matrix(clouds: NDArray[np.float64], settings: Settings) -> Matrix:
    """Return cmd (D, D) of clouds (seeds, D, t, d), mean over seeds."""
    return np.mean(
        [[[cmd(a, b, settings.self_pairs) for b in cloud] for a in cloud] for cloud in clouds], axis=0
    )


def mean_colour(sets: Mapping[str, Images], settings: Settings) -> Matrix:
    """Return cmd (D, D) of the same subsets' mean colours in [0, 1]³, a control without a network."""
    colours = [images.mean(axis=(1, 2), dtype=np.float64) / 255 for images in sets.values()]
    runs = [[subset_means(c, seed, settings) for c in colours] for seed in range(settings.seeds)]
    return mean_matrix(np.array(runs), settings)


def grey_world(images: Images) -> Images:
    """Scale each channel to the image's mean grey level (Buchsbaum 1980), clipped at 255; black stays."""
    means = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    gain = means.mean(axis=3, keepdims=True) / np.maximum(means, 1e-9)
    return np.clip(np.rint(images * gain), 0, 255).astype(np.uint8)


def rank_correlation(a: Matrix, b: Matrix) -> float:
    """Return Spearman's coefficient over pairs of different datasets; nan for fewer than three pairs."""
    from scipy.stats import spearmanr

    pairs = np.triu_indices(len(a), 1)
    return float(spearmanr(a[pairs], b[pairs]).statistic) if len(pairs[0]) > 2 else float("nan")


def controls(
    sets: Mapping[str, Images], found: Distances, device: str = "cpu", report: Report = lambda line: None
) -> dict[str, Matrix]:
    """Return the controls of section 2.3 by name, matrices (D, D), to be compared with `found.average`."""
    average_pool = replace(found.settings, maxpool="avg")
    neutral = {name: grey_world(images) for name, images in sets.items()}
    return {
        "mean colour": mean_colour(sets, found.settings),
        "average pool": distances(sets, average_pool, device, report).average,
        "grey world": distances(neutral, found.settings, device, report).average,
    }


def nearest_agreement(a: Matrix, b: Matrix) -> float:
    """Return the share of datasets, 0 to 1, with the same nearest other dataset in both matrices (D, D)."""
    itself = np.diag(np.full(len(a), np.inf))
    return float(np.mean((a + itself).argmin(1) == (b + itself).argmin(1)))
