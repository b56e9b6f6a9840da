"""OCT2017, version 2: `OCT2017/{train,val,test}/<class>/<class>-<patient>-<n>.jpeg`.

Traps: a patient in the training and the test set, a patient of two classes, white corners where a scan was
turned, `._` files of the archive.
"""

from pathlib import Path

import numpy as np

from medpt.phantom.paint import Canvas, Rng, debris, fractal, grid, save, smooth, stream, to_bytes

CLASSES = ("CNV", "DME", "DRUSEN", "NORMAL")
FIRST = {"train": 100, "val": 5000, "test": 9000}  # numbers of patients
OF_TWO_CLASSES = 104  # the patient that the second class has instead of the next one


def write(folder: Path, seed: int, train: int = 160, test: int = 48, size: int = 96) -> None:
    """`train` grey JPEGs of size x 1.5 size and four more in val; four of `test` are of its patients."""
    top = folder / "OCT2017"
    for subset, count in (("train", train), ("val", 4), ("test", test)):
        for n in range(count):
            kind = CLASSES[n % 4]
            picture = section(stream(seed, "OCT2017", subset, n), size, round(size * 1.5), kind)
            save(
                top / subset / kind / f"{kind}-{_patient(subset, n)}-{n // 4 + 1}.jpeg",
                to_bytes(picture),
                "JPEG",
            )
        for kind in CLASSES:
            (top / subset / kind).mkdir(parents=True, exist_ok=True)
    debris(top / "train" / "CNV", "CNV-100-1.jpeg")


def _patient(subset: str, n: int) -> int:
    """Two images each; the first four of the test set are of patients of the training set."""
    if subset == "test" and n < 4:
        return FIRST["train"] + n
    number = FIRST[subset] + n // 8 * 4 + n % 4
    return OF_TWO_CLASSES if number == OF_TWO_CLASSES + 1 else number


def section(rng: Rng, height: int, width: int, kind: str) -> Canvas:
    """Bright layers over the choroid: fluid below (CNV), cysts within (DME), bumps under (DRUSEN), a pit."""
    x, y = grid(height, width)
    x = x * height / width + rng.uniform(-0.1, 0.1)  # -1 to 1 along the width
    base = rng.uniform(0.1, 0.3) + 0.15 * x * rng.uniform(-1, 1) + 0.12 * x**2
    pit = rng.uniform(0.12, 0.2) * np.exp(-((x / 0.2) ** 2))
    lift = _lift(rng, x, kind)
    bottom, top = base - lift, base - lift - 0.5 + (0 if kind == "DME" else pit)
    if kind == "DME":
        top = top - rng.uniform(0.1, 0.2) * np.exp(-((x / 0.35) ** 2))
    tissue = smooth((y - top) / 0.03) * smooth((bottom - y) / 0.03)
    image = 0.1 + 0.4 * tissue + 0.35 * np.exp(-(((y - bottom) / 0.035) ** 2))
    image = (
        image
        + 0.25 * np.exp(-(((y - top) / 0.04) ** 2))
        + 0.22 * smooth((y - base) / 0.05) * np.exp(-2 * (y - base))
    )
    for _ in range(rng.integers(3, 7) if kind == "DME" else 0):
        cx, cy = rng.normal(0, 0.22), rng.uniform(0.15, 0.35)
        image = image * (
            1 - 0.9 * tissue * np.exp(-(((x - cx) / 0.1) ** 4) - ((y - bottom + cy) / 0.14) ** 4)
        )
    image = image * (1 + 0.15 * fractal(rng, height, width, 12, 3)) + rng.normal(0, 0.04, image.shape)
    corner = rng.random() < 0.25
    return np.where(corner & (np.abs(x) + y > 1.55), 1, np.clip(image, 0, 1))


def _lift(rng: Rng, x: Canvas, kind: str) -> Canvas:
    """How far the lowest bright layer is raised."""
    if kind == "CNV":
        return rng.uniform(0.35, 0.5) * np.exp(-(((x - rng.uniform(-0.2, 0.2)) / 0.25) ** 2))
    if kind == "DRUSEN":
        places = rng.uniform(-0.8, 0.8, rng.integers(4, 8))
        return np.sum([rng.uniform(0.12, 0.2) * np.exp(-(((x - p) / 0.08) ** 2)) for p in places], axis=0)
    return np.zeros_like(x)
