"""ISIC 2019: images, one-hot ground truth and metadata as published, plus unlabelled test images.

Traps: `_downsampled` names, lesions with two images, blank lesion ids, the UNK column that no image has,
macOS debris.
"""

from pathlib import Path

import numpy as np

from medpt.data.catalog import card
from medpt.data.decode import opencv
from medpt.phantom.paint import (
    Canvas,
    Colour,
    Rng,
    blend,
    debris,
    fractal,
    grid,
    noise,
    save,
    smooth,
    stream,
    tint,
    to_bytes,
)

CLASSES = card("ISIC2019").classes
SHARES = (0.18, 0.25, 0.14, 0.09, 0.12, 0.07, 0.08, 0.07)  # of MEL ... SCC; flatter than the original
SITES = ("anterior torso", "upper extremity", "head/neck", "")
SKIN: tuple[Colour, ...] = ((0.86, 0.68, 0.58), (0.8, 0.6, 0.5), (0.9, 0.74, 0.66), (0.72, 0.52, 0.42))
LESION: dict[str, tuple[Colour, Colour]] = {  # main and second colour
    "MEL": ((0.24, 0.14, 0.12), (0.4, 0.36, 0.38)),
    "NV": ((0.48, 0.29, 0.2), (0.36, 0.2, 0.14)),
    "BCC": ((0.8, 0.5, 0.47), (0.38, 0.36, 0.42)),
    "AK": ((0.78, 0.46, 0.4), (0.93, 0.85, 0.7)),
    "BKL": ((0.6, 0.45, 0.32), (0.44, 0.33, 0.25)),
    "DF": ((0.64, 0.44, 0.38), (0.9, 0.8, 0.76)),
    "VASC": ((0.62, 0.13, 0.2), (0.38, 0.06, 0.16)),
    "SCC": ((0.8, 0.4, 0.36), (0.95, 0.9, 0.8)),
}


def write(folder: Path, seed: int, train: int = 160, test: int = 4, size: int = 96) -> None:
    """`train` labelled JPEGs of size x 4/3 size; `test` unlabelled ones."""
    truth = [",".join(("image", *CLASSES))]
    metadata = ["image,age_approx,anatom_site_general,lesion_id,sex"]
    for n in range(train):
        lesion = n - 1 if n % 9 == 8 else n  # each ninth image shows the lesion of the one before
        label = _label(lesion)
        name = f"ISIC_{n:07d}{'_downsampled' if n % 17 == 3 else ''}"
        picture = skin(stream(seed, "ISIC2019", lesion), size, CLASSES[label])
        seen = picture if lesion == n else picture[:, ::-1] * 0.94
        save(folder / "ISIC_2019_Training_Input" / f"{name}.jpg", to_bytes(seen), "JPEG")
        truth.append(",".join([name, *(f"{float(c == label):.1f}" for c in range(len(CLASSES)))]))
        identity = "" if lesion % 9 in (2, 5) else f"HAM_{lesion:07d}"
        sex = "male" if lesion % 2 else "female"
        metadata.append(f"{name},{30 + lesion % 12 * 5}.0,{SITES[lesion % len(SITES)]},{identity},{sex}")
    (folder / "ISIC_2019_Training_GroundTruth.csv").write_text("\n".join(truth) + "\n")
    (folder / "ISIC_2019_Training_Metadata.csv").write_text("\n".join(metadata) + "\n")
    for n in range(test):
        picture = skin(stream(seed, "ISIC2019", "test", n), size, CLASSES[n % len(SHARES)])
        save(folder / "ISIC_2019_Test_Input" / f"ISIC_{50_000 + n:07d}.jpg", to_bytes(picture), "JPEG")
    debris(folder / "ISIC_2019_Training_Input", "ISIC_0000000.jpg")


def _label(lesion: int) -> int:
    """Golden-ratio steps through the classes' shares: every prefix has them about right."""
    bounds = np.cumsum(SHARES)
    return int(np.searchsorted(bounds, (lesion * 0.6180339887) % 1 * bounds[-1]))


def skin(rng: Rng, height: int, kind: str) -> Canvas:
    """A lesion of class `kind` on skin, with hairs on some images and a dark vignette on others."""
    h, w = height, height * 4 // 3
    x, y = grid(h, w)
    tone = SKIN[rng.integers(len(SKIN))]
    light = rng.uniform(-0.15, 0.15) * x + rng.uniform(-0.12, 0.12) * y
    image = tint(tone, light + 0.025 * fractal(rng, h, w, 6, 5) + rng.uniform(-0.1, 0.1))
    image = _lesion(rng, image, x, y, kind)
    if rng.random() < 0.35:
        image = blend(image, _hairs(rng, h, w), (0.16, 0.1, 0.08))
    if rng.random() < 0.3:
        radius = rng.uniform(1.1, 1.3)
        image = image * (0.02 + 0.98 * smooth((radius - np.hypot(x, y)) / 0.05))[:, :, None]
    image = image + rng.normal(0, 0.012, image.shape).astype(np.float32)
    return np.clip(image, 0, 1)


def _lesion(rng: Rng, image: Canvas, x: Canvas, y: Canvas, kind: str) -> Canvas:
    """Border: regular for naevi, irregular for melanoma; colours and texture: of the class, jittered."""
    h, w = x.shape
    ragged = {"MEL": 0.2, "SCC": 0.16, "AK": 0.2, "BKL": 0.1}.get(kind, 0.06)
    cx, cy = rng.uniform(-0.25, 0.25, 2)
    angle = np.arctan2(y - cy, x - cx)
    radius = rng.uniform(0.36, 0.62) * (0.75 if kind in ("VASC", "DF") else 1)
    outline = radius * (1 + _waves(rng, angle, ragged))
    soft = {"MEL": 0.06, "VASC": 0.06, "BKL": 0.05, "AK": 0.4, "DF": 0.3}.get(kind, 0.15)
    depth = (outline - np.hypot((x - cx) * rng.uniform(0.85, 1.2), y - cy)) / radius
    main, second = (np.clip(np.array(c) * rng.uniform(0.85, 1.15), 0, 1) for c in LESION[kind])
    grain = fractal(rng, h, w, 8, 4)
    image = blend(image, smooth(depth / soft) * rng.uniform(0.8, 0.95), tint(main, 0.1 * grain))
    return blend(
        image, _inner(rng, x - cx, y - cy, depth, kind) * rng.uniform(0.65, 0.9), tint(second, 0.06 * grain)
    )


def _waves(rng: Rng, angle: Canvas, strength: float) -> Canvas:
    waves = [rng.normal(0, 1 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 9)]
    return (strength * np.sum(waves, axis=0)).astype(np.float32)


def _inner(rng: Rng, x: Canvas, y: Canvas, depth: Canvas, kind: str) -> Canvas:
    """Where the second colour shows: network, veil, dots, scale or a pale centre, as the class has it."""
    h, w = x.shape
    inside = smooth(depth / 0.12)
    if kind == "NV":  # regular pigment network
        step, warp = rng.uniform(0.09, 0.13), 0.05 * noise(rng, h, w, 5)
        lines = np.maximum(np.cos((x + y + warp) * 4.5 / step), np.cos((x - y + warp) * 4.5 / step))
        return inside * 0.7 * smooth((lines - 0.5) / 0.6)
    if kind in ("DF", "SCC"):  # pale or keratotic centre
        return smooth((depth - (0.55 if kind == "DF" else 0.5) + 0.12 * noise(rng, h, w, 6)) / 0.15)
    if kind in ("BKL", "VASC"):  # round cysts, lacunae
        cells = 9 if kind == "BKL" else 6
        return inside * smooth((noise(rng, h, w, cells) - 0.5) / 0.25)
    threshold = {"MEL": 0.4, "BCC": 0.8, "AK": 0.5}[kind]  # veil, blotches, scale
    return inside * smooth((fractal(rng, h, w, 4, 3) - threshold) / 0.3)


def _hairs(rng: Rng, height: int, width: int) -> Canvas:
    cover = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(2, 7)):
        t = np.linspace(0, 1, 24)
        start, end, bend = rng.uniform(0, 1, 2), rng.uniform(0, 1, 2), rng.normal(0, 0.08, 2)
        line = start + (end - start) * t[:, None] + bend * np.sin(np.pi * t)[:, None]
        points = np.rint(line * (width, height)).astype(np.int32).reshape(-1, 1, 2)
        opencv().polylines(cover, [points], False, 200, 1, opencv().LINE_AA)
    return cover / np.float32(255)
