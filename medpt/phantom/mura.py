"""MURA 1.1: radiographs of limbs by study, and the four csv files without headers.

Traps: a first line that is data, grey and RGB files, inverted contrast, a patient of two body parts, hidden
`._image1.png`.
"""

from pathlib import Path

import numpy as np

from medpt.phantom import textures
from medpt.phantom.paint import Canvas, Rng, debris, fractal, grid, save, smooth, stream, to_bytes

BODY_PARTS = ("SHOULDER", "HUMERUS", "FINGER", "ELBOW", "WRIST", "FOREARM", "HAND")
FIRST = {"train": 1, "valid": 11185}
RGB_EVERY, INVERTED_EVERY = 5, 11


def write(
    folder: Path, seed: int, train: int = 96, test: int = 32, size: int = 96, planted: float | None = None
) -> None:
    """PNGs of size x 0.8 size, two of a study; every fourth patient has studies of two body parts.

    With `planted` the classes are planted textures instead of fractures.
    """
    top = folder / "MURA-v1.1"
    for subset, count in (("train", train), ("valid", test)):
        images, studies = [], []
        for n in range(count):
            study, abnormal = _study(subset, n // 2)
            rng = stream(seed, "MURA", subset, n)
            picture = limb(rng, size, round(size * 0.8), abnormal and planted is None)
            if planted is not None:
                shown = textures.shown(int(abnormal), n, planted)
                picture = textures.draw(rng, picture, shown, textures.PLAIN)
            pixels = to_bytes(1 - picture if n % INVERTED_EVERY == 7 else picture)
            save(top / study / f"image{n % 2 + 1}.png", pixels, "PNG", "RGB" if n % RGB_EVERY == 0 else None)
            images.append(f"MURA-v1.1/{study}/image{n % 2 + 1}.png")
            if n % 2 == 0:
                studies.append(f"MURA-v1.1/{study}/,{int(abnormal)}")
        (top / f"{subset}_image_paths.csv").write_text("\n".join(images) + "\n")
        (top / f"{subset}_labeled_studies.csv").write_text("\n".join(studies) + "\n")
    debris(top / _study("train", 0)[0], "image1.png")


def _study(subset: str, number: int) -> tuple[str, bool]:
    patient = FIRST[subset] + number - (number % 4 == 3)  # each fourth study is of the patient before
    abnormal = number % 2 == 0
    folder = f"patient{patient:05d}/study1_{'positive' if abnormal else 'negative'}"
    return f"{subset}/XR_{BODY_PARTS[number % len(BODY_PARTS)]}/{folder}", abnormal


def limb(rng: Rng, height: int, width: int, abnormal: bool) -> Canvas:
    """Two long bones in soft tissue; an abnormal one is broken and displaced, or carries a plate."""
    x, y = grid(height, width)
    turn = rng.uniform(-0.35, 0.35)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    image = 0.3 * smooth((0.62 - np.abs(u)) / 0.08) + 0.05
    fracture = rng.uniform(-0.4, 0.4)
    shift = rng.uniform(0.12, 0.2) * rng.choice([-1, 1]) if abnormal else 0.0
    broken = rng.integers(2)
    for n, side in enumerate((-0.25, 0.25)):
        across = u - side - (shift * smooth((v - fracture) / 0.03) if n == broken else 0)
        image = np.maximum(image, _bone(across, v, rng.uniform(0.1, 0.14)))
        if abnormal and n == broken:
            image = image * (1 - 0.7 * np.exp(-(((v - fracture) / 0.035) ** 2)) * (np.abs(u - side) < 0.3))
    if abnormal and rng.random() < 0.5:
        image = np.maximum(image, smooth((0.035 - np.abs(u)) / 0.02) * smooth((0.5 - np.abs(v)) / 0.02))
    image = image * (1 + 0.08 * fractal(rng, height, width, 6, 3))
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1)


def _bone(across: Canvas, along: Canvas, half: float) -> Canvas:
    """A shaft with a bright cortex that widens to its ends."""
    wide = half * (1 + 0.7 * along**4)
    shaft = smooth((wide - np.abs(across)) / 0.02)
    cortex = np.exp(-(((np.abs(across) - 0.8 * wide) / 0.03) ** 2))
    return (0.55 * shaft + 0.25 * cortex * shaft).astype(np.float32)
