"""Four folders as people have them, drawn: `python tests/support/own_folders.py DIR` writes them below DIR.

(a) radiographs in a folder for each class, (b) the same with a CSV file of columns that have other names,
(c) fundus photographs with masks of 0 and 255, (d) slices of the abdomen as DICOM with a TSV file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medpt.phantom.chaos_ct import abdomen
from medpt.phantom.chestxray2017 import radiograph
from medpt.phantom.dicom import computed
from medpt.phantom.fundus import fundus
from medpt.phantom.paint import save, stream, to_bytes

SIDE = 96
CLASSES = ("normal", "pneumonia")


def class_folders(home: Path, images: int = 300) -> Path:
    """(a) Write a folder of radiographs for each of two classes."""
    for number, label, pixels in _radiographs(images):
        save(home / label / f"{number:03d}.png", pixels, "PNG")
    return home


def table(home: Path, images: int = 300) -> Path:
    """(b) Write radiographs of patients with two images each, and a table of German columns."""
    rows = ["Dateiname;Diagnose;Patient"]
    for number, label, pixels in _radiographs(images):
        save(home / "Bilder" / f"{number:03d}.png", pixels, "PNG")
        rows.append(f"{number:03d}.png;{label};P{number // 4 * 2 + number % 2}")
    (home / "Befunde.csv").write_text("\n".join(rows), encoding="utf-8")
    return home


def _radiographs(count: int) -> Iterator[tuple[int, str, np.ndarray]]:
    for number in range(count):
        drawn = radiograph(stream(0, "own", number), SIDE, SIDE, pneumonia=bool(number % 2))
        yield number, CLASSES[number % 2], to_bytes(drawn)


def masks(home: Path, images: int = 40) -> Path:
    """(c) Write fundus photographs and their vessels, 0 or 255."""
    for number in range(images):
        picture, vessels, _ = fundus(stream(0, "own masks", number), SIDE, SIDE)
        save(home / "photos" / f"{number:03d}.png", picture, "PNG")
        save(home / "masks" / f"{number:03d}.png", vessels, "PNG")
    return home


def dicom(home: Path, images: int = 80) -> Path:
    """(d) Write two slices of each patient, one of the chest and one of the abdomen, and a table of them."""
    (home / "scans").mkdir(parents=True)
    rows = ["file\tregion\tsubject"]
    for number in range(images):
        rng = stream(0, "own dicom", number)
        is_chest = number % 2 == 0
        depth = rng.uniform(0.0, 0.25) if is_chest else rng.uniform(0.45, 0.9)
        units, _ = abdomen(rng, SIDE, depth, rng.uniform(0.9, 1.1, 8))
        (home / "scans" / f"{number:03d}.dcm").write_bytes(computed(units, -1024, 3.0, f"7.{number}"))
        rows.append(f"{number:03d}.dcm\t{('abdomen', 'chest')[is_chest]}\ts{number // 2}")
    (home / "info.tsv").write_text("\n".join(rows), encoding="utf-8")
    return home


FOLDERS = {"a-classes": class_folders, "b-table": table, "c-masks": masks, "d-dicom": dicom}

if __name__ == "__main__":
    for name, write in FOLDERS.items():
        print(write(Path(sys.argv[1]) / name))
