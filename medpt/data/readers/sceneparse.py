"""The tree of SceneParse150 (ADEChallengeData2016), from which ADE20K is read by scene and by pixel."""

from pathlib import Path

from medpt.data.dataset import Split
from medpt.data.file_tree import child, files, find_root
from medpt.errors import InputError

SUBSETS: dict[str, Split] = {"training": "train", "validation": "test"}


def find(root: Path) -> Path | None:
    """The folder whose images/training or images/validation holds photographs; None where there is none."""
    try:
        return find_root(
            root, lambda folder: any(_has_photographs(folder, subset) for subset in SUBSETS), "images"
        )
    except InputError:
        return None


def _has_photographs(folder: Path, subset: str) -> bool:
    place = _folder(folder, subset)
    return place is not None and place.is_dir() and bool(files(place, ".jpg"))


def images(top: Path) -> dict[str, tuple[str, Split]]:
    """Image id (its file's stem) to its path relative to `top` and its split; validation is the test set."""
    found: dict[str, tuple[str, Split]] = {}
    for subset, split in SUBSETS.items():
        folder = _folder(top, subset)
        for path in files(folder, ".jpg") if folder else []:
            found[path.stem] = (path.relative_to(top).as_posix(), split)
    return found


def _folder(top: Path, subset: str) -> Path | None:
    parent = child(top, "images")
    return child(parent, subset) if parent and parent.is_dir() else None
