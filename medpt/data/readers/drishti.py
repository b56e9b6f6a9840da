"""DRISHTI-GS: optic cup or disc, as four experts drew them, averaged into a soft map.

The test set's masks are in `Test_GT`, the training set's in `GT`; images lie flat, or one folder deeper. A
test set without masks is excluded with a note. The disc's centre, for cropping around it, is given for the
training set only: of the test set it would come from the masks.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Interval
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.decode import read_grey
from medpt.data.file_tree import child, find_root, walk
from medpt.data.readers.image_files import image
from medpt.data.reading import MAX_TEXT, read_bytes

SUBSETS: dict[str, tuple[Split, str]] = {"Training": ("train", "GT"), "Test": ("test", "Test_GT")}
MAPS = {"cup": "cupsegSoftmap", "disc": "ODsegSoftmap"}
Level = Annotated[int, Interval(ge=1, le=255)]


class _Truth(NamedTuple):
    """What the experts drew, and from which level of their soft map on it counts."""

    target: str
    threshold: int

    @property
    def ending(self) -> str:
        return f"_{MAPS[self.target]}"


def open(
    card: DatasetCard, root: Path, target: Literal["cup", "disc"] = "cup", threshold: Level = 128
) -> Dataset:
    """Masks 0 background, 1 `target` where the soft map (0..255, levels 0, 64, 128, 191, 255) >= `threshold`.

    The default, 128, is two or more of four experts. Raises InputError for images without a soft map and soft
    maps without an image.
    """
    problems: list[str] = []
    top = find_root(root, lambda folder: (folder / "Training" / "Images").is_dir(), "Training/Images")
    excluded: dict[str, int] = {}
    records = [
        r
        for subset in SUBSETS
        for r in _subset(card, top, subset, _Truth(target, threshold), excluded, problems)
    ]
    notes = tuple(f"{top}: {n} images of the {s} set without truth excluded" for s, n in excluded.items())
    info = replace(card, classes=("background", f"optic {target}"))
    return Dataset(info, top, tuple(records), image, _mask, notes, excluded, problems=tuple(problems))


def _subset(
    card: DatasetCard, top: Path, subset: str, truth: _Truth, excluded: dict[str, int], problems: list[str]
) -> Iterator[Record]:
    split, folder = SUBSETS[subset]
    images = _images(top / subset / "Images")
    if not (top / subset / folder).is_dir():
        excluded |= {split: len(images)} if images else {}
        return
    maps = _maps(top / subset / folder, truth.ending)
    problems += [
        f"{images[n]}: no {n}{truth.ending}.png in {top / subset / folder}" for n in images.keys() - maps
    ]
    problems += [f"{maps[n]}: no image {n}.png" for n in maps.keys() - images]
    for name in sorted(images.keys() & maps):
        image, mask = (path.relative_to(top).as_posix() for path in (images[name], maps[name]))
        meta: dict[str, object] = {"threshold": truth.threshold}
        if split == "train" and (centre := _centre(maps[name].parents[1], name, problems)):
            meta["disc_centre"] = centre
        yield Record(card.name, image, name, name, mask_path=mask, split=split, meta=meta)


def _images(folder: Path) -> dict[str, Path]:
    paths = (Path(entry.path) for entry in (walk(folder) if folder.is_dir() else ()))
    return {path.stem: path for path in paths if path.suffix.lower() == ".png"}


def _maps(folder: Path, ending: str) -> dict[str, Path]:
    paths = (Path(entry.path) for entry in walk(folder))
    return {
        p.stem.removesuffix(ending): p
        for p in paths
        if p.suffix.lower() == ".png" and p.stem.endswith(ending)
    }


def _centre(folder: Path, name: str, problems: list[str]) -> list[int] | None:
    """[row, column] of the disc's centre in pixels; None where the publisher gives none."""
    boundaries = child(folder, "AvgBoundary")
    path = child(boundaries, f"{name}_diskCenter.txt") if boundaries else None
    if path is None:
        return None
    words = read_bytes(path, MAX_TEXT).decode("latin-1").split()
    if len(words) != 2 or not all(re.fullmatch("[0-9]{1,5}", word) for word in words):
        problems.append(f"{path}: {' '.join(words)[:40]!r}; accepted: '<row> <column>' in pixels")
        return None
    return [int(word) for word in words]


def _mask(root: Path, record: Record) -> NDArray[np.uint8]:
    return (read_grey(root / str(record.mask_path)) >= record.meta["threshold"]).astype(np.uint8)
