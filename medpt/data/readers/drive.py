"""DRIVE: fundus photographs with the first observer's vessels, of the subsets whose truth is there.

The test archive of grand-challenge has no `1st_manual`: its images are then excluded, and a note says so.
Masks are palette GIFs, so they are reduced to grey before the threshold.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child, files, find_root
from medpt.data.readers.image_files import bright_mask, image

SUBSETS: dict[str, Split] = {"training": "train", "test": "test"}
NUMBER = re.compile(r"(\d+)_")


def open(card: DatasetCard, root: Path) -> Dataset:
    """Masks 0 background, 1 vessel.

    Raises InputError for an image without vessels or vessels without image.
    """
    top = find_root(root, lambda folder: (folder / "training" / "images").is_dir(), "training/images")
    problems: list[str] = []
    records = [record for subset in SUBSETS for record in _subset(card, top, subset, problems)]
    blank = {
        subset: len(files(top / subset / "images", ".tif", ".tiff"))
        for subset in SUBSETS
        if _is_blank(top / subset)
    }
    notes = tuple(
        f"{top / p}: {n} images without 1st_manual (vessel truth) excluded" for p, n in blank.items()
    )
    excluded: dict[str, int] = {SUBSETS[subset]: count for subset, count in blank.items()}
    return Dataset(card, top, tuple(records), image, bright_mask, notes, excluded, problems=tuple(problems))


def _is_blank(subset: Path) -> bool:
    return (subset / "images").is_dir() and not (subset / "1st_manual").is_dir()


def _subset(card: DatasetCard, top: Path, subset: str, problems: list[str]) -> Iterator[Record]:
    if _is_blank(top / subset):
        return
    images = _numbered(top / subset / "images", problems, ".tif", ".tiff")
    vessels = _numbered(top / subset / "1st_manual", problems, ".gif")
    views = _numbered(top / subset / "mask", problems, ".gif")
    manual = top / subset / "1st_manual"
    problems += [f"{images[n]}: no {n}_manual1.gif in {manual}" for n in sorted(images.keys() - vessels)]
    problems += [f"{vessels[n]}: no image {n}_{subset}.tif" for n in sorted(vessels.keys() - images)]
    for number in sorted(images.keys() & vessels):
        view = {"field_of_view": views[number].relative_to(top).as_posix()} if number in views else {}
        image, mask = (path.relative_to(top).as_posix() for path in (images[number], vessels[number]))
        patient = f"DRIVE-{number}"
        yield Record(card.name, image, patient, patient, mask_path=mask, split=SUBSETS[subset], meta=view)


def _numbered(folder: Path, problems: list[str], *suffixes: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files(folder, *suffixes) if child(folder.parent, folder.name) else []:
        match = NUMBER.match(path.name)
        if match is None or match[1] in found:
            problems.append(f"{path}: accepted: one file a number, such as 21_training.tif")
        else:
            found[match[1]] = path
    return found
