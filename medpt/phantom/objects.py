"""Drawings of everyday things on varied grounds, for the layouts of natural images.

Each takes a stage of any size and draws at a random place, size and tint; what sets a class apart is form and
texture, not the ground.
"""

from collections.abc import Callable

import numpy as np

from medpt.phantom.paint import Canvas, Colour, Rng, blend, ellipse, fractal, grid, noise, smooth, tint

Draw = Callable[[Rng, Canvas, Canvas, Canvas], Canvas]


def picture(rng: Rng, height: int, width: int, draw: Draw) -> Canvas:
    """RGB (H, W, 3), 0 to 1."""
    x, y = grid(height, width)
    ground = tint(
        rng.uniform(0.25, 0.85, 3), 0.12 * fractal(rng, height, width, 3, 4) + rng.uniform(-0.2, 0.2) * y
    )
    zoom, turn = rng.uniform(1.0, 1.6), rng.uniform(-0.3, 0.3)
    dx, dy = x * zoom - rng.uniform(-0.3, 0.3), y * zoom - rng.uniform(-0.3, 0.3)
    u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    image = draw(rng, ground, u, v) * rng.uniform(0.8, 1.1)
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1)


def round_fruit(colour: Colour, bumps: float) -> Draw:
    """A shaded sphere, its peel smooth (0) or pitted."""

    def draw(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
        shade = -0.45 * np.hypot(u + 0.3, v + 0.35) + 0.25 + bumps * noise(rng, *_size(u), 24)
        image = blend(image, ellipse(u, v, (0, 0), (0.75, 0.72), 0.08), tint(_near(rng, colour), shade))
        image = blend(image, ellipse(u, v, (-0.28, -0.32), (0.14, 0.1), 0.9) * 0.7, (1, 1, 0.95))
        return blend(image, ellipse(u, v, (0.02, -0.74), (0.035, 0.14), 0.3), (0.3, 0.22, 0.1))

    return draw


def flower(petal: Colour, heart: Colour, petals: int) -> Draw:
    def draw(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
        angle, radius = np.arctan2(v, u), np.hypot(u, v)
        rim = 0.5 + 0.3 * np.abs(np.cos(angle * petals / 2 + rng.uniform(0, 3)))
        image = blend(image, smooth((rim - radius) / 0.04), tint(_near(rng, petal), 0.3 * (radius - 0.5)))
        return blend(
            image, smooth((0.24 - radius) / 0.04), tint(_near(rng, heart), 0.2 * noise(rng, *_size(u), 20))
        )

    return draw


def shore(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """Sky, water with waves, sand along a slanted line."""
    line = v + 0.25 * u - 0.35 + 0.05 * np.sin(u * 6 + rng.uniform(0, 6))
    waves = 0.12 * np.sin(v * 40 + 3 * noise(rng, *_size(u), 4))
    image = tint(_near(rng, (0.55, 0.72, 0.92)), 0.1 * fractal(rng, *_size(u), 3, 3))
    image = blend(image, smooth((v + 0.2) / 0.03), tint(_near(rng, (0.15, 0.4, 0.58)), waves))
    image = blend(
        image, smooth(line / 0.04), tint(_near(rng, (0.85, 0.76, 0.58)), 0.06 * noise(rng, *_size(u), 30))
    )
    return blend(image, np.exp(-((line / 0.035) ** 2)), (0.95, 0.97, 0.98))


def volcano(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A cone under the sky, its top glowing or white."""
    slope = v + 0.55 - 0.85 * np.abs(u) + 0.05 * noise(rng, *_size(u), 8)
    image = tint(_near(rng, (0.6, 0.7, 0.85)), 0.12 * fractal(rng, *_size(u), 3, 3))
    cone = smooth(slope / 0.03) * smooth((v + 0.45) / 0.03)
    image = blend(image, cone, tint(_near(rng, (0.4, 0.34, 0.32)), 0.2 * fractal(rng, *_size(u), 6, 3)))
    top = (0.95, 0.4, 0.12) if rng.random() < 0.5 else (0.95, 0.95, 0.97)
    return blend(image, cone * smooth((-0.22 - v + 0.08 * noise(rng, *_size(u), 10)) / 0.06), top)


def disc_with_hands(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A clock: pale face, rim, twelve marks, two hands."""
    angle, radius = np.arctan2(v, u), np.hypot(u, v)
    image = blend(image, smooth((0.8 - radius) / 0.03), _near(rng, rng.uniform(0.1, 0.7, 3)))
    image = blend(image, smooth((0.7 - radius) / 0.03), (0.94, 0.93, 0.88))
    marks = smooth((np.cos(angle * 12) - 0.85) / 0.1) * smooth((0.07 - np.abs(radius - 0.58)) / 0.03)
    image = blend(image, marks, (0.1, 0.1, 0.1))
    for length in (0.35, 0.52):
        t = rng.uniform(0, 2 * np.pi)
        along, across = u * np.cos(t) + v * np.sin(t), v * np.cos(t) - u * np.sin(t)
        hand = smooth((0.035 - np.abs(across)) / 0.02) * smooth(
            (length / 2 - np.abs(along - length / 2)) / 0.02
        )
        image = blend(image, hand, (0.08, 0.08, 0.1))
    return image


def banana(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A yellow crescent."""
    angle, radius = np.arctan2(v + 0.4, u), np.hypot(u, v + 0.4)
    thick = 0.24 * np.clip(np.cos(angle - np.pi / 2), 0, 1) ** 0.5 - 0.06
    return blend(
        image,
        smooth((thick - np.abs(radius - 0.72)) / 0.03),
        tint(_near(rng, (0.93, 0.8, 0.2)), 0.8 * (radius - 0.72)),
    )


def football(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A white ball with dark patches."""
    patches = smooth((np.cos(u * 13) + np.cos(u * 6.5 + v * 11.3) + np.cos(u * 6.5 - v * 11.3) - 1.0) / 0.25)
    shade = tint((0.95, 0.95, 0.95), -0.4 * np.hypot(u + 0.25, v + 0.3) + 0.1)
    return blend(image, ellipse(u, v, (0, 0), (0.72, 0.72), 0.05), blend(shade, patches, (0.08, 0.08, 0.09)))


def canopy(stripes: int, basket: bool) -> Draw:
    """A striped balloon (with basket) or parachute (half round, with lines)."""

    def draw(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
        image = tint(_near(rng, (0.5, 0.68, 0.92)), 0.08 * fractal(rng, *_size(u), 3, 3))
        lower = smooth(((0.75 if basket else -0.12) - v) / 0.03)
        envelope = ellipse(u, v, (0, -0.15), (0.62, 0.66), 0.05) * lower
        bands = smooth(np.sin(np.arcsin(np.clip(u / 0.65, -1, 1)) * stripes) / 0.3)
        colours = blend(
            tint(_near(rng, rng.uniform(0.2, 0.9, 3)), -0.3 * u), bands, _near(rng, rng.uniform(0.2, 0.9, 3))
        )
        lines = (
            smooth((np.cos(np.arctan2(u, 0.8 - v) * 14) - 0.8) / 0.2)
            * (v > -0.12)
            * (v < 0.65)
            * (np.abs(u) < 0.8 - v)
        )
        image = blend(image, lines.astype(np.float32) * 0.7, (0.25, 0.25, 0.28))
        load = ellipse(u, v, (0, 0.75), (0.12, 0.1), 0.2)
        return blend(blend(image, load, (0.35, 0.23, 0.14)), envelope, colours)

    return draw


def pizza(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A crust, cheese and round slices on it."""
    radius = np.hypot(u, v)
    image = blend(
        image, smooth((0.8 - radius) / 0.03), tint((0.72, 0.48, 0.24), 0.15 * noise(rng, *_size(u), 14))
    )
    image = blend(
        image, smooth((0.7 - radius) / 0.04), tint((0.93, 0.76, 0.38), 0.12 * fractal(rng, *_size(u), 8, 3))
    )
    for _ in range(rng.integers(6, 12)):
        t, r = rng.uniform(0, 2 * np.pi), 0.58 * np.sqrt(rng.random())
        image = blend(
            image, ellipse(u, v, (r * np.cos(t), r * np.sin(t)), (0.12, 0.12), 0.15), (0.72, 0.18, 0.12)
        )
    return image


def bottle(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """Body, neck, label; a light stripe along the glass."""
    half = np.where(v > -0.25, 0.3, np.where(v < -0.5, 0.1, 0.1 + 0.8 * (v + 0.5)))
    body = smooth((half - np.abs(u)) / 0.03) * smooth((0.92 - np.abs(v)) / 0.03)
    image = blend(image, body * 0.92, tint(_near(rng, rng.uniform(0.1, 0.6, 3)), -0.5 * np.abs(u)))
    image = blend(image, body * np.exp(-(((u + 0.14) / 0.04) ** 2)) * 0.6, (1, 1, 1))
    return blend(image, body * smooth((0.25 - np.abs(v - 0.3)) / 0.02), _near(rng, rng.uniform(0.6, 0.95, 3)))


def cloud(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    image = tint(_near(rng, (0.35, 0.55, 0.88)), 0.2 * v)
    puffs = fractal(rng, *_size(u), 3, 4) + 0.9 - 1.2 * np.hypot(u * 0.7, v * 1.3)
    return blend(image, smooth((puffs - 0.35) / 0.5), tint((0.93, 0.93, 0.95), -0.15 * v))


def tower(rng: Rng, image: Canvas, u: Canvas, v: Canvas) -> Canvas:
    """A tall block with rows of windows, before the sky."""
    image = tint(_near(rng, (0.6, 0.72, 0.88)), -0.2 * v)
    wall = smooth((rng.uniform(0.3, 0.45) - np.abs(u)) / 0.02) * smooth((v + 0.85) / 0.02)
    panes = smooth((np.cos(u * 32) - 0.1) / 0.4) * smooth((np.cos(v * 26) + 0.1) / 0.4)
    front = blend(tint(_near(rng, rng.uniform(0.35, 0.7, 3)), 0.3 * u), panes, (0.2, 0.27, 0.36))
    return blend(image, wall, front)


def _near(rng: Rng, colour: Colour) -> Canvas:
    return np.asarray(colour, np.float32) * rng.uniform(0.85, 1.12, 3)


def _size(plane: Canvas) -> tuple[int, int]:
    return plane.shape[0], plane.shape[1]
