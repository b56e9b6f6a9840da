"""DRIVE: fundus TIFFs, vessels of the first observer and fields of view as palette GIFs, official names.

Vessels are random walks that branch and taper, from the optic disc in two arcades. Traps: palette GIFs,
macOS debris.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.data.phantom.paint import (
    Canvas,
    Rng,
    blend,
    debris,
    ellipse,
    fractal,
    grid,
    save,
    shrink,
    smooth,
    stream,
    tint,
    to_bytes,
)

SUPERSAMPLING = 4
FIELD = 0.95  # radius of the field of view


def write(folder: Path, seed: int, train: int = 20, test: int = 20, size: int = 148) -> None:
    """TIFFs of size x 0.97 size; training numbers follow on those of the test part, as in the original."""
    for part, first, count in (("training", 21, train), ("test", 1, test)):
        for number in range(first, first + count):
            image, vessels, view = fundus(stream(seed, "DRIVE", number), size, round(size * 0.97))
            top = folder / part
            save(top / "images" / f"{number:02d}_{part}.tif", image, "TIFF")
            save(top / "1st_manual" / f"{number:02d}_manual1.gif", vessels, "GIF", "P")
            save(top / "mask" / f"{number:02d}_{part}_mask.gif", view, "GIF", "P")
    debris(folder / "training" / "images", "21_training.tif")


def fundus(
    rng: Rng, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A fundus photograph (H, W, 3), its vessels and its field of view (H, W), 0 or 255."""
    h, w = height * SUPERSAMPLING, width * SUPERSAMPLING
    side = int(rng.choice([-1, 1]))
    disc = (side * rng.uniform(0.5, 0.62), rng.uniform(-0.08, 0.08))
    cover = shrink(_vessels(rng, disc, side, h, w), height, width)
    x, y = grid(height, width)
    view = smooth((FIELD - np.hypot(x, y)) * height / 2)
    image = blend(_retina(rng, x, y, disc), cover * rng.uniform(0.5, 0.75), (0.42, 0.1, 0.06))
    image = image * (0.75 + 0.25 * smooth((0.7 - np.hypot(x, y)) / 0.6))[:, :, None]
    image = image + rng.normal(0, 0.014, (height, width, 1))
    return to_bytes(image * view[:, :, None]), _binary((cover > 0.5) & (view > 0.5)), _binary(view > 0.5)


def _binary(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(255)


def _retina(rng: Rng, x: Canvas, y: Canvas, disc: tuple[float, float]) -> Canvas:
    h, w = x.shape
    base = (rng.uniform(0.75, 0.9), rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.2))
    image = tint(base, 0.035 * fractal(rng, h, w, 5, 4) + rng.uniform(-0.12, 0.12) * x)
    macula = ellipse(x, y, (-0.35 * disc[0], disc[1] + 0.06), (0.26, 0.24), 1.0)
    image = blend(image, macula * 0.45, (0.5, 0.18, 0.06))
    image = blend(image, ellipse(x, y, disc, (0.16, 0.17), 0.2) * 0.9, (0.98, 0.8, 0.5))
    image = blend(image, ellipse(x, y, disc, (0.07, 0.08), 0.4) * 0.7, (1.0, 0.93, 0.75))
    if rng.random() < 0.35:  # drusen and exudates, which are no vessels
        for cx, cy in rng.normal((-0.3 * disc[0], 0.1), 0.18, (rng.integers(4, 12), 2)):
            image = blend(image, ellipse(x, y, (cx, cy), (0.022, 0.022), 0.5) * 0.8, (0.98, 0.8, 0.35))
    return image


@dataclass
class _Tip:
    """A growing end: place, direction in radians, half width, and the bend that it keeps."""

    x: float
    y: float
    angle: float
    width: float
    bend: float


def _vessels(rng: Rng, disc: tuple[float, float], side: int, height: int, width: int) -> Canvas:
    cover = np.zeros((height, width), np.float32)
    tips = list(_roots(rng, disc, side))
    while tips:
        tip = tips.pop()
        tips += _grow(rng, tip, cover)
    return cover


def _roots(rng: Rng, disc: tuple[float, float], side: int) -> Iterator[_Tip]:
    """Two arcades over the macula, an artery and a vein each, and short vessels on the nasal side."""
    inward = np.pi if side > 0 else 0.0
    for up in (-1, 1):
        for calibre in (0.017, 0.021):
            angle = inward + side * up * rng.uniform(0.9, 1.35)
            yield _Tip(*disc, angle, calibre * rng.uniform(0.85, 1.1), -side * up * rng.uniform(0.01, 0.018))
        nasal = inward + np.pi + up * rng.uniform(0.5, 1.0)
        yield _Tip(*disc, nasal, rng.uniform(0.01, 0.013), 0)


def _grow(rng: Rng, tip: _Tip, cover: Canvas) -> list[_Tip]:
    """Draws one vessel until it leaves the field or grows too thin; its branches."""
    height, width = cover.shape
    branches: list[_Tip] = []
    while tip.width > 0.004 and np.hypot(tip.x, tip.y) < FIELD:
        start = (tip.x, tip.y)
        tip.angle += tip.bend + rng.normal(0, 0.07)
        tip.x += 0.025 * np.cos(tip.angle)
        tip.y += 0.025 * np.sin(tip.angle)
        tip.width *= 0.985
        ends = [
            (round((px * height + width) / 2), round((py + 1) * height / 2))
            for px, py in (start, (tip.x, tip.y))
        ]
        opencv().line(cover, ends[0], ends[1], 1.0, max(1, round(tip.width * height)), opencv().LINE_AA)
        if rng.random() < 0.075:
            turn = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
            branches.append(_Tip(tip.x, tip.y, tip.angle + turn, tip.width * rng.uniform(0.5, 0.75), 0))
    return branches
