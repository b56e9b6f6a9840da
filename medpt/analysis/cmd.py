"""Convolution-based modality visualisation and distance (cmv, cmd): Wen et al. 2021, equations 1-3.

A dataset is a cloud of t points: each is the mean, over n of its images, of what a random network F gives.
The distance of two datasets is the mean distance of their points. What the paper leaves open is a field of
`Settings`. Nothing is trained; medpt/analysis/projection.py says what F is, and why a point is little more
than a projection of a mean image, so that the controls of `distances.py` belong beside every result.
Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError, did_you_mean
from medpt.identity import stream_seed

Points = NDArray[np.float64]
Images = NDArray[np.uint8]
Distance = TypeVar("Distance", float, NDArray[np.float64])

INITS = ("kaiming", "orthogonal", "xavier")
PAPER_SCALES = {"kaiming": 4.4976, "orthogonal": 0.0317, "xavier": 0.0162}  # epsilon, section 2


@dataclass(frozen=True)
class Settings:
    """What the paper leaves open of equations 1-3; the numbers are rows of the specification's table 2.1.

    Rows 4, 7, 8 and 16 leave no choice: batch norm is the identity before training, "in" reads "subset of",
    all t_a · t_b pairs are averaged, and the mean is over as many inits as there are.
    """

    network: str = "resnet18"  # 1: the paper's basic backbone; its epsilons are like the paper's
    maxpool: Literal["max", "avg"] = "max"  # 2: the paper takes out three things, and this is none of them
    head: Literal["linear", "pca", "first"] = "linear"  # 3: equation 1 gives F two outputs
    n: int = 100  # 5: images a subset, never more than half of the set; fits the size of the paper's epsilons
    t: int = 50  # 6: subsets, drawn independently
    self_pairs: bool = False  # 9: a point's distance to itself is 0 and says nothing
    scaling: Literal["divide", "multiply"] = "divide"  # 10: only that gives "the same magnitude"
    paper_scales: bool = False  # 11: epsilon depends on F, n and the pixels, so it is measured
    seeds: int = 10  # 12: one random head of two outputs differs by a factor of 2 to 4 from the next
    distribution: Literal["normal", "uniform"] = "normal"  # 13: equal in scale
    clahe: bool = True  # 14: images as in training
    size: int = 256  # 14: pixels; values are in [0, 1], without mean and deviation
    reference: tuple[str, ...] = ("ImageNet", "ADE20K", "CIFAR-100")  # 15: first one at hand gives epsilon
    inits: tuple[str, ...] = INITS  # equation 3

    def __post_init__(self) -> None:
        problems = [f"{field}: {value!r}; accepted: {words}" for field, value, words in _unfit(self)]
        if problems:
            raise InputError(problems)


def _unfit(settings: Settings) -> Iterable[tuple[str, Any, str]]:
    from medpt.models.registry import BACKBONES

    choices: dict[str, tuple[Any, ...]] = {
        "network": BACKBONES,
        "maxpool": ("max", "avg"),
        "head": ("linear", "pca", "first"),
        "scaling": ("divide", "multiply"),
        "distribution": ("normal", "uniform"),
        "self_pairs": (False, True),
        "paper_scales": (False, True),
        "clahe": (False, True),
    }
    least = {"n": 1, "t": 2, "seeds": 1, "size": 32}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name in choices and value not in choices[field.name]:
            yield field.name, value, ", ".join(map(str, choices[field.name]))
        if field.name in least and (type(value) is not int or value < least[field.name]):
            yield field.name, value, f"a whole number from {least[field.name]}"
    if not settings.inits or set(settings.inits) - set(INITS):
        yield "inits", settings.inits, f"some of {', '.join(INITS)}"


DEFAULTS = Settings()


def coordinates(
    images: Images, init: str, seed: int, settings: Settings = DEFAULTS, device: str = "cpu"
) -> Points:
    """cmv of a dataset, equation 1: (t, 2) means over subsets of F(image), F of `init` drawn with `seed`.

    images: uint8 (N, H, W, 3), preprocessed; N ≥ 2. Equal seeds give equal networks and, for equal N, equal
    choices of rows. Raises InputError for other images, an unknown init, and `head` = pca, whose axes are
    those of several datasets: see `cmv`.
    """
    if settings.head == "pca":
        raise InputError("head: 'pca' has its axes from all datasets; `cmv` of a mapping takes it")
    return cmv({"images": images}, init, seed, settings, device)["images"]


def cmv(
    sets: Mapping[str, Images], init: str, seed: int, settings: Settings = DEFAULTS, device: str = "cpu"
) -> dict[str, Points]:
    """As `coordinates`, of several datasets under one network; images of one size in all."""
    check_images(sets)
    if init not in INITS:
        raise InputError(f"init: {init!r}; {did_you_mean(init, INITS)}")
    from medpt.analysis.projection import Projection

    network = Projection(settings, init, seed, next(iter(sets.values())).shape[1:3], device)
    points = {name: subset_means(network(images), seed, settings) for name, images in sets.items()}
    return _first_axes(points) if settings.head == "pca" else points


def check_images(sets: Mapping[str, Images]) -> None:
    """Raises InputError for each set that is not uint8 (N ≥ 2, H, W, 3) of the first one's H and W."""
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
    """(t, d) means of n rows of `values` (N, d), without replacement; n is at most half of N."""
    rng = np.random.default_rng(stream_seed(seed, "cmd", "subsets"))
    n = min(settings.n, len(values) // 2)
    chosen = [rng.choice(len(values), n, replace=False) for _ in range(settings.t)]
    return values[np.array(chosen)].mean(1)


def _first_axes(points: Mapping[str, Points]) -> dict[str, Points]:
    """Along the two principal axes of all points together."""
    stacked = np.concatenate(list(points.values()))
    centre = stacked.mean(0)
    axes = np.linalg.svd(stacked - centre, full_matrices=False)[2][:2]
    return {name: (values - centre) @ axes.T for name, values in points.items()}


def cmd(a: Points, b: Points, self_pairs: bool = False) -> float:
    """Equation 2: mean Euclidean distance of all pairs of points, a (t_a, d) and b (t_b, d); 0 or more.

    Where a equals b, the distance of a dataset to itself, the t pairs of a point with itself do not count
    unless `self_pairs`. Higher is less alike; the unit is that of F.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise InputError(f"coordinates {a.shape} and {b.shape}; (t, 2) each are accepted")
    total = np.linalg.norm(a[:, None] - b[None], axis=2).sum()
    if np.array_equal(a, b) and not self_pairs:
        return float(total / (len(a) * (len(a) - 1))) if len(a) > 1 else 0.0
    return float(total / (len(a) * len(b)))


def average_cmd(
    per_init: Mapping[str, Distance], scales: Mapping[str, float], scaling: str = "divide"
) -> Distance:
    """Equation 3: mean over inits of cmd divided by epsilon; 1 is the spread of the reference set itself.

    `scales` holds epsilon of each init, the cmd of ImageNet with itself. The paper prints a product, which
    would let Kaiming rule by a factor of 277²: `scaling` = multiply gives it. Arrays are taken elementwise.
    Raises InputError where an init has no positive epsilon.
    """
    bad = [init for init in per_init if not scales.get(init, 0) > 0]
    if bad or not per_init:
        raise InputError(
            [f"epsilon of {init}: {scales.get(init)}; above 0 is needed" for init in bad] or "no init"
        )
    rules: dict[str, Callable[[Distance, float], Distance]] = {
        "divide": lambda distance, scale: distance / scale,
        "multiply": lambda distance, scale: distance * scale,
    }
    scaled = [rules[scaling](distance, scales[init]) for init, distance in per_init.items()]
    return sum(scaled[1:], scaled[0]) / len(scaled)
