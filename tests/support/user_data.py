"""A small user's dataset: a folder with a card, images and a table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import open_dataset
from medpt.data.card import FILE
from medpt.errors import InputError

RNG = np.random.default_rng(0)
CLASSIFIED = {
    "name": "Clinic",
    "modality": "fundus",
    "task": "classification",
    "classes": "[healthy, glaucoma]",
    "images": "images",
    "labels": "labels.csv",
}
MASKED = {key: value for key, value in CLASSIFIED.items() if key != "labels"} | {
    "task": "segmentation",
    "classes": "[background, vessel]",
    "masks": "masks",
}


def write_picture(path: Path, pixels: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8) if pixels is None else pixels).save(path)


def class_folders(home: Path, images: int = 8) -> Path:
    """Write a folder of images for each of two classes; return `home`."""
    for name in ("ill", "well"):
        for number in range(images):
            write_picture(home / name / f"scan{number}.png")
    return home


def write_card(folder: Path, facts: dict[str, str], table: str = "") -> Path:
    """Write the card with its folders and its table; return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    if "masks" in facts:
        (folder / "masks").mkdir(exist_ok=True)
    if table:
        (folder / "labels.csv").write_text(table)
    (folder / FILE).write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    return folder


def complaints(folder: Path, name: str = "Clinic") -> list[str]:
    """Return the problems for which a dataset is refused."""
    with pytest.raises(InputError) as caught:
        open_dataset(name, folder)
    return caught.value.problems
