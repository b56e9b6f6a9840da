"""A small user's dataset: a folder with a card, images and a table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import open_dataset
from medpt.data.card import FILE
from medpt.errors import InputError
from medpt.phantom.dicom import computed

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


def dicom_with_table(home: Path, images: int) -> Path:
    """Write CT images and a table of their grades, separated by tabs; return `home`."""
    (home / "scans").mkdir(parents=True)
    rows = ["file\tgrade\tsubject"]
    for number in range(images):
        stored = np.arange(64, dtype=np.int16).reshape(8, 8) + number
        (home / "scans" / f"{number}.dcm").write_bytes(computed(stored, -1024, 0.0, f"1.2.{number}"))
        rows.append(f"{number}.dcm\t{number % 2}\ts{number}")
    (home / "info.tsv").write_text("\n".join(rows))
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
