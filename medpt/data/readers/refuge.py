"""The files of REFUGE (2018), from which disc masks and glaucoma labels are read.

Images and masks are known by their names (g0001, n0001, V0001, T0001), wherever the six archives were
unpacked. The edition of 2020 (REFUGE2) uses the same names for other images: more than 400 images a subset,
or several sizes in one, are refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medpt.data.dataset import Record, Split
from medpt.data.file_tree import child, find_root, walk

Test = Literal["validation400", "test400"]
TEST = {"validation400": "V", "test400": "T"}
NAME = re.compile(r"[gn]\d{4}|[VT]\d{4}", re.IGNORECASE)
MASKS, SKIPPED = "disc_cup_masks", "illustration"
LARGEST = 400  # images of a subset


@dataclass(frozen=True)
class Files:
    """Paths relative to `top` by image name (first letter as published: g, n, V, T)."""

    top: Path
    images: dict[str, str]
    masks: dict[str, str]
    sheets: tuple[Path, ...]

    def subset(self, letters: str) -> list[str]:
        return sorted(name for name in self.images if name[0] in letters)


def find(root: Path, test: str, problems: list[str]) -> Files:
    """The files of the training set and of `test`; adds to `problems` what says that editions are mixed."""
    marker = "Annotation-Training400"
    top = find_root(root, lambda folder: child(folder, marker) is not None, marker)
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    sheets: list[Path] = []
    for entry in walk(top):
        path = Path(entry.path)
        inside = path.relative_to(top)
        folders = [folder.lower() for folder in inside.parts[:-1]]
        if path.suffix.lower() == ".xlsx":
            sheets.append(path)
        elif NAME.fullmatch(path.stem) and not any(SKIPPED in folder for folder in folders):
            kind = masks if MASKS in folders else images
            _add(kind, _name(path.stem), inside.as_posix(), top, problems)
    wanted = "gn" + TEST[test]
    images, masks = ({n: p for n, p in kind.items() if n[0] in wanted} for kind in (images, masks))
    found = Files(top, images, masks, tuple(sheets))
    for letters in ("gn", TEST[test]):
        problems += _mixed(found, found.subset(letters))
    return found


def records(found: Files, test: str, make: Callable[[str, Split], Record | None]) -> tuple[Record, ...]:
    """A record of each image that `make` takes, training set first."""
    subsets: tuple[tuple[str, Split], ...] = (("gn", "train"), (TEST[test], "test"))
    made = (make(name, split) for letters, split in subsets for name in found.subset(letters))
    return tuple(record for record in made if record is not None)


def notes(found: Files, test: str) -> tuple[str, ...]:
    return () if found.subset(TEST[test]) else (f"{found.top}: no images of {test}: no test set",)


def _name(stem: str) -> str:
    return stem.lower() if stem[0] in "gGnN" else stem.upper()


def _add(kind: dict[str, str], name: str, path: str, top: Path, problems: list[str]) -> None:
    if kind.setdefault(name, path) != path:
        problems.append(f"{top / path}: also at {top / kind[name]}; keep one edition of REFUGE")


def _mixed(found: Files, names: list[str]) -> list[str]:
    """At most one complaint about sizes and one about the number of images."""
    paths = [found.top / found.images[name] for name in names]
    sizes = ["{}x{}".format(*_size(path)) for path in paths]
    strange = [n for n, size in enumerate(sizes) if size != sizes[0]][:1]
    problems = [
        f"{paths[n]}: {sizes[n]}, but {names[0]} is {sizes[0]}: one camera a subset; is REFUGE2 mixed in?"
        for n in strange
    ]
    if len(names) > LARGEST:
        problems.append(
            f"{found.top}: {len(names)} images such as {names[0]}; accepted: {LARGEST}, as of 2018"
        )
    return problems


def _size(path: Path) -> tuple[int, int]:
    """(width, height) from the header; (0, 0) where there is none: decoding will say so."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        return (0, 0)
