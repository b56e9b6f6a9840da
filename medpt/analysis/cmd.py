"""Convolution-based modality visualisation and distance (cmv, cmd): Wen et al. 2021, equations 1-3.

A dataset is a cloud of t points. Each point is the mean, over n of its images, of the outputs of a random
network F. The distance of two datasets is the mean distance of their points. What the paper leaves open is a
field of `Settings`. Nothing is trained. medpt/analysis/projection.py defines F and shows why a point is
little more than a projection of a mean image; report the controls of `distances.py` beside every result.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from medpt.analysis.settings import DEFAULTS, INITS, Settings
from medpt.errors import InputError, did_you_mean
from medpt.identity import stream_seed

Points = NDArray[np.float64]
Images = NDArray[np.uint8]
Distance = TypeVar("Distance", float, NDArray[np.float64])

PAPER_SCALES = {"kaiming": 4.4976, "orthogonal": 0.0317, "xavier": 0.0162}  # epsilon, section 2


def coordinates(
    images: Images, init: str, seed: int, settings: Settings = DEFAULTS, device: str = "cpu"
) -> Points:
    """Return cmv of a dataset (equation 1): (t, 2) means over subsets of F(image), F of `init` and `seed`.

    `images` are preprocessed uint8 (N, H, W, 3) with N ≥ 2. Equal seeds give equal networks and, for equal N,
    equal choices of rows. Raises InputError for other images, for an unknown init, and for `head` = pca,
    whose axes are those of several datasets: use `cmv`.
    """
    if settings.head == "pca":
        raise InputError("head: 'pca' takes its axes from all datasets; use `cmv` with a mapping of them")
    return cmv({"images": images}, init, seed, settings, device)["images"]


def cmv(
    sets: Mapping[str, Images], init: str, seed: int, settings: Settings = DEFAULTS, device: str = "cpu"
) -> dict[str, Points]:
    """Return the `coordinates` of several datasets under one network; all images have one size."""
    check_images(sets)
    if init not in INITS:
        raise InputError(f"init: {init!r}; {did_you_mean(init, INITS)}")
    from medpt.analysis.projection import Projection

    network = Projection(settings, init, seed, next(iter(sets.values())).shape[1:3], device)
    points = {name: subset_means(network(images), seed, settings) for name, images in sets.items()}
    return _principal_axes(points) if settings.head == "pca" else points


def check_images(sets: Mapping[str, Images]) -> None:
    """Raise InputError for each set that is not uint8 (N ≥ 2, H, W, 3) with the first set's H and W."""
    first, problems = next(iter(sets.values())), []
    for name, images in sets.items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) < 2:
            problems.append(
                f"{name}: {images.dtype} {images.shape}; two or more uint8 images (N, H, W, 3) are accepted"
            )
        elif images.shape[1:] != first.shape[1:]:
            problems.append(f"{name}: images of {images.shape[1:]} beside images of {first.shape[1:]}")
    if problems:
        raise InputError(problems)


def subset_means(values: Points, seed: int, settings: Settings) -> Points:
    """Return (t, d) means of n rows of `values` (N, d), without replacement; n is at most half of N."""
    rng = np.random.default_rng(stream_seed(seed, "cmd", "subsets"))
    n = min(settings.n, len(values) // 2)
    chosen = [rng.choice(len(values), n, replace=False) for _ in range(settings.t)]
    return values[np.array(chosen)].mean(1)


def _principal_axes(points: Mapping[str, Points]) -> dict[str, Points]:
    """Project (t, d) on the two principal axes of all points together: (t, 2)."""
    stacked = np.concatenate(list(points.values()))
    centre = stacked.mean(0)
    axes = np.linalg.svd(stacked - centre, full_matrices=False)[2][:2]
    return {name: (values - centre) @ axes.T for name, values in points.items()}


def cmd(a: Points, b: Points, self_pairs: bool = False) -> float:
    """Return the mean Euclidean distance of all pairs of points (equation 2), 0 or more; higher = less alike.

    `a` is (t_a, d) and `b` (t_b, d); the unit is that of F. If a equals b (the distance of a dataset from
    itself), the t pairs of a point with itself count only with `self_pairs`.
    """
    a, b = np.asarray(a), np.asarray(b)
    if not {a.dtype.kind, b.dtype.kind} <= set("buif"):
        raise InputError(f"coordinates of {a.dtype} and {b.dtype}; accepted: real numbers")
    a, b = a.astype(float), b.astype(float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise InputError(f"coordinates {a.shape} and {b.shape}; (t, 2) each are accepted")
    total = np.linalg.norm(a[:, None] - b[None], axis=2).sum()
    if np.array_equal(a, b) and not self_pairs:
        return float(total / (len(a) * (len(a) - 1))) if len(a) > 1 else 0.0
    return float(total / (len(a) * len(b)))


def average_cmd(
    per_init: Mapping[str, Distance],
    scales: Mapping[str, float],
    scaling: Literal["divide", "multiply"] = "divide",
) -> Distance:
    """Return the mean over inits of cmd divided by epsilon (equation 3); 1 is the reference set's own spread.

    `scales` holds epsilon of each init, which is the cmd of ImageNet with itself. Arrays are taken
    elementwise. The paper prints a product, in which Kaiming would outweigh the others by a factor of 277²;
    `scaling` = "multiply" gives it. Raises InputError if an init has no positive epsilon.
    """
    bad = [init for init in per_init if not scales.get(init, 0) > 0]
    if bad or not per_init:
        raise InputError(
            [f"epsilon of {init}: {scales.get(init)}; above 0 is needed" for init in bad] or "no init"
        )
    multiply = scaling == "multiply"
    scaled = [d * scales[init] if multiply else d / scales[init] for init, d in per_init.items()]
    return sum(scaled[1:], scaled[0]) / len(scaled)
