"""Fundus photographs: retina, optic disc, macula, vessels within a round field of view.

Vessels are random walks that branch and taper, from the optic disc in two arcades. Optic cups, and lesions of
diabetic and other retinopathies, are painted on request.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.phantom.paint import (
    Canvas,
    Colour,
    Rng,
    blend,
    ellipse,
    fractal,
    grid,
    shrink,
    smooth,
    tint,
    to_bytes,
)

SUPERSAMPLING = 4
FIELD = 0.95  # radius of the field of view


@dataclass
class Eye:
    """A photograph on the easel: RGB canvas, coordinates, centre of the optic disc, covers of vessels and
    view."""

    rgb: Canvas
    x: Canvas
    y: Canvas
    disc: tuple[float, float]
    vessels: Canvas
    view: Canvas


@dataclass(frozen=True)
class Spots:
    """`count` round spots around a centre given from the macula (0, 0) to the optic disc (1, 0)."""

    count: int
    radius: float
    colour: Colour
    centre: tuple[float, float] = (0.2, 0)
    spread: float = 0.3


RED, DARK, YELLOW, WHITE = (0.5, 0.08, 0.05), (0.33, 0.05, 0.04), (0.99, 0.86, 0.35), (0.97, 0.93, 0.85)
RETINOPATHY: tuple[tuple[Spots, ...], ...] = (  # by grade of diabetic retinopathy
    (),
    (Spots(14, 0.03, RED),),
    (Spots(16, 0.03, RED), Spots(8, 0.06, DARK), Spots(6, 0.04, YELLOW)),
    (Spots(30, 0.06, DARK, spread=0.4), Spots(24, 0.045, YELLOW)),
    (Spots(24, 0.06, DARK, spread=0.4), Spots(4, 0.25, DARK, (0.3, 0.4), 0.2), Spots(3, 0.12, WHITE)),
)


def fundus(
    rng: Rng, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A fundus photograph (H, W, 3), its vessels and its field of view (H, W), 0 or 255."""
    eye = photograph(rng, height, width)
    return develop(rng, eye), binary((eye.vessels > 0.5) & (eye.view > 0.5)), binary(eye.view > 0.5)


def photograph(rng: Rng, height: int, width: int) -> Eye:
    h, w = height * SUPERSAMPLING, width * SUPERSAMPLING
    side = int(rng.choice([-1, 1]))
    disc = (side * rng.uniform(0.5, 0.62), rng.uniform(-0.08, 0.08))
    cover = shrink(_vessels(rng, disc, side, h, w), height, width)
    x, y = grid(height, width)
    view = smooth((FIELD - np.hypot(x, y)) * height / 2)
    image = blend(_retina(rng, x, y, disc), cover * rng.uniform(0.5, 0.75), (0.42, 0.1, 0.06))
    image = image * (0.75 + 0.25 * smooth((0.7 - np.hypot(x, y)) / 0.6))[:, :, None]
    return Eye(image, x, y, disc, cover, view)


def develop(rng: Rng, eye: Eye) -> NDArray[np.uint8]:
    """The photograph with noise, black outside the field of view."""
    return to_bytes((eye.rgb + rng.normal(0, 0.014, (*eye.x.shape, 1))) * eye.view[:, :, None])


def paint_spots(rng: Rng, eye: Eye, kinds: Iterable[Spots]) -> None:
    for kind in kinds:
        middle = (kind.centre[0] * 1.35 - 0.35) * eye.disc[0], kind.centre[1]
        for cx, cy in rng.normal(middle, kind.spread, (kind.count, 2)):
            radius = kind.radius * rng.uniform(0.7, 1.3)
            cover = ellipse(eye.x, eye.y, (cx, cy), (radius, radius * rng.uniform(0.8, 1.2)), 0.5)
            eye.rgb = blend(eye.rgb, cover * 0.85, kind.colour)


def paint_optic_disc(rng: Rng, eye: Eye, ratio: float) -> tuple[Canvas, Canvas]:
    """A disc as large as real ones, its cup `ratio` of its diameter; the covers of both, 0 to 1."""
    radii = (rng.uniform(0.2, 0.24), rng.uniform(0.22, 0.26))
    centre = eye.disc[0] * 0.85, eye.disc[1]
    disc = ellipse(eye.x, eye.y, centre, radii, 0.3)
    cup = ellipse(eye.x, eye.y, centre, (ratio * radii[0], ratio * radii[1]), 0.6)
    eye.rgb = blend(eye.rgb, disc * 0.8, (0.95, 0.68, 0.38))
    eye.rgb = blend(eye.rgb, cup * 0.8, (1.0, 0.95, 0.8))
    eye.disc = centre
    return disc, cup


def binary(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
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
