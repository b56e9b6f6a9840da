"""TNBC (Naylor): H&E tiles of triple-negative breast cancer, `Slide_NN/NN_k.png` with `GT_NN/NN_k.png`.

A slide is a patient. The later edition with brain tissue adds the slides 12 to 14, which are no breast
cancer: they are excluded, and a note counts them. Tiles are RGBA; alpha is dropped.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.decode import read_grey
from medpt.data.file_tree import child, files, find_root, folders
from medpt.data.readers.image_files import image

SLIDE = re.compile(r"Slide_(\d+)", re.IGNORECASE)
BREAST = range(1, 12)  # numbers of the slides of breast cancer


def open(card: DatasetCard, root: Path) -> Dataset:
    """Masks 0 background, 1 nucleus. Raises InputError for a tile without mask or a mask without tile."""
    top = find_root(root, lambda folder: bool(_slides(folder)), "Slide_01 with GT_01")
    slides = _slides(top)
    problems: list[str] = []
    breast = {number: folder for number, folder in slides.items() if number in BREAST}
    records = [r for number, folder in breast.items() for r in _slide(card, top, number, folder, problems)]
    brain = sum(len(files(folder, ".png")) for number, folder in slides.items() if number not in BREAST)
    note = f"{top}: {brain} tiles of slides above {BREAST[-1]} excluded: brain, of the later edition"
    return Dataset(card, top, tuple(records), image, _mask, (note,) * bool(brain), problems=tuple(problems))


def _slides(folder: Path) -> dict[int, Path]:
    matches = {inner: SLIDE.fullmatch(inner.name) for inner in folders(folder)}
    return {int(match[1]): inner for inner, match in matches.items() if match}


def _slide(card: DatasetCard, top: Path, number: int, folder: Path, problems: list[str]) -> Iterator[Record]:
    truth = child(top, f"GT_{folder.name.split('_')[1]}")
    masks = {path.stem: path for path in files(truth, ".png")} if truth and truth.is_dir() else {}
    tiles = {path.stem: path for path in files(folder, ".png")}
    problems += [f"{tiles[name]}: no mask {name}.png in GT_{number:02d}" for name in tiles.keys() - masks]
    problems += [f"{masks[name]}: no tile {name}.png in {folder.name}" for name in masks.keys() - tiles]
    patient = f"Slide_{number:02d}"
    for name in sorted(tiles.keys() & masks):
        image, mask = (path.relative_to(top).as_posix() for path in (tiles[name], masks[name]))
        yield Record(card.name, image, patient, patient, mask_path=mask)


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return (read_grey(root / str(record.mask_path)) > 0).astype(np.uint8)
