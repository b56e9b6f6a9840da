"""ChestXRay2017 as Mendeley's version 2 has it: `chest_xray/{train,test}/{NORMAL,PNEUMONIA}/*.jpeg`.

Traps: RGB files among grey ones, two images of one person, numbers that restart in each subset, macOS debris.
"""

from pathlib import Path

import numpy as np

from medpt.data.decode import opencv
from medpt.phantom import textures
from medpt.phantom.paint import (
    Canvas,
    Rng,
    debris,
    ellipse,
    fractal,
    grid,
    noise,
    save,
    smooth,
    stream,
    to_bytes,
)

SICK = {
    "train": 0.6,
    "test": 0.5,
}  # share of pneumonia; the balance shifts between the subsets, as in the original
RGB_EVERY = 9


def write(
    folder: Path, seed: int, train: int = 96, test: int = 64, size: int = 96, planted: float | None = None
) -> None:
    """Grey JPEGs of size x 1.25 size, some stored as RGB; with `planted` the classes are planted textures."""
    top = folder / "chest_xray"
    for subset, count in (("train", train), ("test", test)):
        sick = round(SICK[subset] * count)
        for number in range(count):
            label = number < sick
            rng = stream(seed, "ChestXRay2017", subset, number)
            picture = radiograph(rng, size, round(size * 1.25), label and planted is None)
            if planted is not None:
                place = number if label else number - sick
                shown = textures.shown(int(label), place, planted)
                picture = textures.draw(rng, picture, shown, textures.FAINT)
            pixels = to_bytes(picture)
            kind = "PNEUMONIA" if label else "NORMAL"
            name = _sick_name(number) if label else _normal_name(number - sick)
            save(top / subset / kind / name, pixels, "JPEG", "RGB" if number % RGB_EVERY == 0 else None)
    debris(top / "train" / "NORMAL", "IM-0115-0001.jpeg")


def _sick_name(number: int) -> str:
    person = number + 1 - number % 8 // 7  # each eighth image is of the person before
    return f"person{person}_{'virus' if person % 3 == 0 else 'bacteria'}_{number + 1}.jpeg"


def _normal_name(number: int) -> str:
    return f"{'NORMAL2-' if number % 2 else ''}IM-{115 + number:04d}-0001.jpeg"


def radiograph(rng: Rng, height: int, width: int, pneumonia: bool) -> Canvas:
    """A frontal chest: dark lung fields under ribs, heart, diaphragm; pneumonia adds opacities."""
    x, y = grid(height, width)
    x = x * rng.uniform(0.92, 1.1) + rng.uniform(-0.06, 0.06)
    y = y * rng.uniform(0.95, 1.08) + rng.uniform(-0.06, 0.06) + x * rng.uniform(-0.05, 0.05)
    lungs = _lungs(rng, x, y)
    image = 0.62 * ellipse(x, y, (0, 0.35), (1.02, 1.6), 0.12) * (1 - 0.25 * smooth((-y - 0.75) / 0.2))
    image = image * (1 - lungs * rng.uniform(0.62, 0.72))
    image += lungs * 0.05 * fractal(rng, height, width, 8, 3) * np.exp(-np.abs(np.abs(x) - 0.2) * 3)
    image += _bones(rng, x, y) * rng.uniform(0.8, 1.2)
    image += 0.2 * ellipse(x, y, (0.14, 0.3), (0.34, 0.36), 0.25, 0.5)
    image += 0.12 * ellipse(x, y, (0, 0), (0.13, 1.4), 0.5)
    if pneumonia:
        image += _opacities(rng, x, y) * lungs
    image = np.clip(image, 0, 1) ** rng.uniform(0.8, 1.25)
    image += rng.normal(0, 0.03, image.shape).astype(np.float32)
    _marker(image, rng)
    return np.clip(image, 0.01, 1)


def _lungs(rng: Rng, x: Canvas, y: Canvas) -> Canvas:
    dome = 0.52 + rng.uniform(-0.06, 0.06)
    height = rng.uniform(0.82, 0.95)
    right = ellipse(x, y, (-0.46, -0.02), (0.33, height), 0.16, 0.1) * smooth(
        (dome - 0.04 - y + 0.5 * (x + 0.5) ** 2) / 0.05
    )
    left = ellipse(x, y, (0.47, -0.02), (0.32, height), 0.16, -0.1) * smooth(
        (dome + 0.05 - y + 0.5 * (x - 0.5) ** 2) / 0.05
    )
    return np.maximum(right, left)


def _bones(rng: Rng, x: Canvas, y: Canvas) -> Canvas:
    inside = ellipse(x, y, (0, 0), (0.98, 1.1), 0.2)
    away = np.abs(x)
    phase = y + 0.42 * (away - 0.35) ** 2 - 0.42 * away + rng.uniform(0, 0.2)
    ribs = smooth((np.cos(phase * 2 * np.pi / 0.24) - 0.45) / 0.35) * smooth((away - 0.12) / 0.06)
    collar = np.exp(-(((y + 0.72 + 0.16 * away) / 0.035) ** 2)) * smooth((away - 0.06) / 0.05)
    spine = np.exp(-((x / 0.09) ** 2)) * (0.75 + 0.25 * np.cos(y * 2 * np.pi / 0.15))
    return (0.1 * ribs + 0.14 * collar * (away < 0.85) + 0.1 * spine).astype(np.float32) * inside


def _opacities(rng: Rng, x: Canvas, y: Canvas) -> Canvas:
    """One dense lobe (bacterial) or several faint patches on both sides (viral)."""
    lobar = rng.random() < 0.6
    cover = np.zeros(x.shape, np.float32)
    for n in range(1 if lobar else rng.integers(3, 6)):
        side = rng.choice([-1, 1]) if lobar else (-1) ** n
        centre = (side * rng.uniform(0.32, 0.58), rng.uniform(-0.35, 0.4))
        radii = rng.uniform(0.2, 0.34, 2) if lobar else rng.uniform(0.12, 0.22, 2)
        strength = rng.uniform(0.22, 0.4) if lobar else rng.uniform(0.13, 0.26)
        patch = ellipse(x, y, centre, (radii[0], radii[1]), 0.9, rng.uniform(0, np.pi))
        cover = np.maximum(cover, strength * patch)
    return cover * (1 + 0.35 * noise(rng, x.shape[0], x.shape[1], 14))


def _marker(image: Canvas, rng: Rng) -> None:
    """The letter R that technicians put on the film."""
    cv2 = opencv()
    at = (round(image.shape[1] * rng.uniform(0.03, 0.07)), round(image.shape[0] * rng.uniform(0.12, 0.18)))
    scale = image.shape[0] / 420
    ink = np.zeros(image.shape, np.uint8)
    cv2.putText(ink, "R", at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, max(1, round(2 * scale)), cv2.LINE_AA)
    np.maximum(image, ink / 255 * 0.95, out=image)
