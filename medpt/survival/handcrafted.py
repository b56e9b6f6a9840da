"""Hand-crafted features of a patch: colour, stain, texture and nuclei.

This is a reconstruction: Wen et al. 2021 do not name the features of their random forest and BoostCI. They
are computed with numpy and OpenCV and equal scikit-image's up to rounding. Lengths are in pixels, so the
patches of a cohort must have one magnification.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.survival.study import Study

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

LENGTH = 40
STAINS = np.linalg.inv(
    [[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]]
)  # Ruifrok & Johnston 2001
DARK = 1e-6  # the darkest transmission that differs from black; optical density 1 in the units of this file
HAEMATOXYLIN_RANGE = 0.25  # optical density shown by the 256 levels of `haematoxylin`; nuclei reach 0.2
GREY_LEVELS = 32  # of the co-occurrence matrices
DISTANCES = (1, 3)  # pixels: grain, and about half a nucleus at 1 µm a pixel
PALE = 0.03  # optical density below which nothing is a nucleus, whatever Otsu's threshold is
SMALLEST_NUCLEUS = 16  # pixels; at 1 µm a pixel lymphocytes have about 40


def patient_vectors(study: Study) -> Floats:
    """Return mean and standard deviation of the 40 features over each patient's patches, (P, 80).

    nan for patients without patches. Raises InputError if the study has no `handcrafted` or no training
    patient has a patch.
    """
    from medpt.survival.fitting import patients_with_patches, require_fields

    (vectors,) = require_fields(study, "handcrafted")
    summary = np.full((len(study.patients), 2 * vectors.shape[1]), np.nan)
    for row in patients_with_patches(study):
        bag = vectors[study.bags[row]].astype(np.float64)
        summary[row] = np.concatenate([bag.mean(0), bag.std(0)])
    return summary


def describe(images: Iterable[Pixels]) -> NDArray[np.float32]:
    """Return the vectors (n, 40) of patches (S, S, 3) RGB uint8, which are read one after the other."""
    rows = [vector(np.asarray(image)) for image in images]
    return np.array(rows, dtype=np.float32).reshape(len(rows), LENGTH)


def vector(image: Pixels) -> Floats:
    """Return the features (40,) of one patch (S, S, 3) RGB uint8, S ≥ 4, in this order:

    0-8 mean, standard deviation, skewness of R, G, B in [0, 1]; 9-17 the same of the optical densities of
    haematoxylin, eosin, DAB; 18-25 contrast, homogeneity, energy, correlation of haematoxylin's grey levels
    at 1 px, then at 3 px, mean over four directions; 26-35 histogram of uniform local binary patterns of the
    grey image; 36-39 nuclei: number, mean and standard deviation of their area in px, mean eccentricity.
    """
    import cv2

    density = stains(image)
    levels = haematoxylin(density)
    grey: Any = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    coarse = (levels // (256 // GREY_LEVELS)).astype(np.intp)
    texture = np.concatenate([cooccurrence(coarse, distance) for distance in DISTANCES])
    return np.concatenate([moments(image / 255), moments(density), texture, patterns(grey), nuclei(levels)])


def stains(image: Pixels) -> Floats:
    """Return optical densities (S, S, 3), from 0, of haematoxylin, eosin, DAB by colour deconvolution."""
    density = np.log(np.maximum(np.arange(256) / 255, DARK)) / np.log(DARK)
    return np.maximum(density[image] @ STAINS, 0)


def haematoxylin(density: Floats) -> Pixels:
    """Return the optical density of haematoxylin as 0..255, on the same scale for every patch."""
    return np.clip(density[..., 0] * (255 / HAEMATOXYLIN_RANGE), 0, 255).round().astype(np.uint8)


def moments(image: NDArray[Any]) -> Floats:
    """Return mean, standard deviation and skewness (0 if constant) of each channel, (3 C,) of (S, S, C)."""
    channels = np.ascontiguousarray(image.reshape(-1, image.shape[2]).T, dtype=np.float64)
    mean = channels.mean(1)
    centred = channels - mean[:, None]
    square = centred * centred
    deviation = np.sqrt(square.mean(1))
    third = (square * centred).mean(1)
    skewness = np.divide(third, deviation**3, where=deviation > 1e-9, out=np.zeros_like(third))
    return np.column_stack([mean, deviation, skewness]).ravel()


def cooccurrence(levels: NDArray[np.intp], distance: int) -> Floats:
    """Return contrast, homogeneity, energy and correlation (4,) of 32 grey levels, mean over four directions.

    0°, 45°, 90° and 135°. Haralick 1973, symmetric matrices; the correlation of a constant patch is 1.
    """
    slant = round(distance * np.sqrt(0.5))
    steps = ((0, distance), (slant, slant), (distance, 0), (slant, -slant))
    return np.mean([_properties(_pairs(levels, *step)) for step in steps], axis=0)


def _pairs(levels: NDArray[np.intp], down: int, right: int) -> Floats:
    """Return the symmetric frequencies of pairs of levels at that step, (32, 32), summing to 1."""
    rows, columns = levels.shape
    here = levels[: rows - down, max(0, -right) : columns - max(0, right)]
    there = levels[down:, max(0, right) : columns + min(0, right)]
    counts = np.bincount((here * GREY_LEVELS + there).ravel(), minlength=GREY_LEVELS**2)
    matrix = counts.reshape(GREY_LEVELS, GREY_LEVELS)
    return (matrix + matrix.T) / (2 * counts.sum())


def _properties(matrix: Floats) -> tuple[float, ...]:
    level = np.arange(GREY_LEVELS)
    apart = (level[:, None] - level) ** 2
    centred = level - matrix.sum(1) @ level
    variance = matrix.sum(1) @ centred**2
    correlation = centred @ matrix @ centred / variance if variance > 1e-15 else 1.0
    return (matrix * apart).sum(), (matrix / (1 + apart)).sum(), np.sqrt((matrix**2).sum()), correlation


def patterns(grey: Pixels) -> Floats:
    """Return the shares of inner pixels with 0..8 brighter neighbours in one arc, and in several arcs, (10,).

    Ojala et al. 2002, 8 points at radius 1; the slanting points are interpolated in 1/256 px, in integers, so
    that a flat patch is flat.
    """
    image = grey.astype(np.int32)
    inner = image[1:-1, 1:-1]
    code = np.zeros(inner.shape, dtype=np.uint8)
    for bit, point in enumerate(_circle(image)):
        code |= (point >= inner * 65_536).astype(np.uint8) << bit
    return np.bincount(_uniform()[code].ravel(), minlength=10) / code.size


def _circle(image: NDArray[np.int32]) -> Iterable[NDArray[np.int32]]:
    """Yield the eight points around each inner pixel, anticlockwise from the right, times 65,536."""
    rows, columns = image.shape
    near, far = 75, 181  # of 256: 1 - √½ and √½

    def at(down: int, right: int) -> NDArray[np.int32]:
        return image[1 + down : rows - 1 + down, 1 + right : columns - 1 + right]

    for down, right in ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)):
        if down and right:
            sides = near * far * (at(down, 0) + at(0, right))
            yield near * near * at(0, 0) + sides + far * far * at(down, right)
        else:
            yield 65_536 * at(down, right)


@lru_cache
def _uniform() -> NDArray[np.intp]:
    """Return, for each 8-bit ring, the number of ones, or 9 if they are in more than one arc."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    arcs = (bits != np.roll(bits, 1, 1)).sum(1) // 2
    return np.where(arcs <= 1, bits.sum(1), 9)


def nuclei(levels: Pixels) -> Floats:
    """Return number, mean and standard deviation of areas in px, mean eccentricity in [0, 1], (4,).

    Nuclei are 8-connected components above Otsu's threshold of haematoxylin; a pale patch has none, and then
    all are 0. Touching nuclei count as one.
    """
    import cv2

    otsu = cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0]
    threshold = max(otsu, levels.min(), 255 * PALE / HAEMATOXYLIN_RANGE)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(
        (levels > threshold).astype(np.uint8), connectivity=8
    )
    large = np.flatnonzero(facts[1:, cv2.CC_STAT_AREA] >= SMALLEST_NUCLEUS) + 1
    if not len(large):
        return np.zeros(4)
    area = facts[large, cv2.CC_STAT_AREA].astype(np.float64)
    return np.array([len(large), area.mean(), area.std(), eccentricities(labels)[large].mean()])


def eccentricities(labels: NDArray[Any]) -> Floats:
    """Return the eccentricity of the ellipse with each label's moments: 0 a disc, 1 a line; 0 for label 0."""
    where, columns = np.flatnonzero(labels), labels.shape[1]
    y, x, label = where // columns, where % columns, labels.ravel()[where]
    area = np.bincount(label)

    def mean(values: NDArray[Any]) -> Floats:
        return np.bincount(label, weights=values) / np.maximum(area, 1)

    variance_y, variance_x = mean(y * y) - mean(y) ** 2, mean(x * x) - mean(x) ** 2
    half, covariance = (variance_y + variance_x) / 2, mean(x * y) - mean(x) * mean(y)
    spread = np.hypot((variance_y - variance_x) / 2, covariance)
    return np.sqrt(
        np.divide(2 * spread, half + spread, where=half + spread > 0, out=np.zeros(len(area))).clip(0, 1)
    )
