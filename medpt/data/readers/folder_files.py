"""The files below a folder, found by the names that a table gives them.

A name is looked for as it is, then without its suffix, then as people and systems spell it: composed or
decomposed Unicode, `\\` for `/`, other case, with the folder's own name in front; a name without folders
also in folders below. A message about a missing file lists what is there in its place.
"""

import unicodedata
from collections.abc import Callable, Iterable
from os.path import isdir  # which takes a name that is too long for one that does not exist
from pathlib import Path, PurePosixPath

from medpt.data.file_tree import walk

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp"),
    *(".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"),
)
DICOM = (".dcm", ".dicom", ".ima")
MASK_WORDS = ("mask", "segmentation", "seg", "label", "gt", "annotation", "manual1", "manual")
PREAMBLE, MAGIC = 128, b"DICM"
NOTES = (".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".xls", ".xlsx", ".pdf", ".html")


class FolderFiles:
    """The files below `folder` that have one of `suffixes`, in order; none of those below `without`.

    DICOM files without a suffix of their own (or with a part of a UID) are known by their content where
    `suffixes` has .dcm. `others` are files of other kinds that could be meant for images.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...], without: Path | None = None) -> None:
        self.folder = folder
        self.names: list[str] = []
        self.others: list[str] = []
        outside = f"{without}/" if without else None
        for entry in walk(folder):
            if outside and entry.path.startswith(outside):
                continue
            name = Path(entry.path).relative_to(folder).as_posix()
            if entry.path.lower().endswith(suffixes) or (DICOM[0] in suffixes and is_dicom(entry.path)):
                self.names.append(name)
            elif not name.lower().endswith(NOTES):
                self.others.append(name)
        self._exact = _index(self.names, lambda name: name)
        self._alike = _index(self.names, spelling)
        self._short = _index(self.names, lambda name: spelling(PurePosixPath(name).name))

    def find(self, name: str) -> list[str]:
        """The files that a name means: several where it is ambiguous, none where there is no such file."""
        short = name.removeprefix(f"{self.folder.name}/")
        for found in (
            self._exact.get(name),
            self._alike.get(spelling(name)),
            self._alike.get(spelling(short)),
            self._short.get(spelling(name)),
        ):
            if found:
                return found
        return []

    def absent(self, name: str) -> str:
        """Why `find` finds nothing: what has the name is a folder, or it is missing."""
        if name and isdir(self.folder / name):
            return "is a folder; a file is accepted"
        return f"is missing{self.hint(name)}"

    def hint(self, name: str) -> str:
        """What is there instead of a name that `find` does not find, or ""."""
        stem = spelling(str(PurePosixPath(name.replace("\\", "/")).with_suffix(""))) if name else ""
        near = [*self._alike.get(stem, []), *(o for o in self.others if spelling(o).startswith(f"{stem}."))]
        if not stem or not near:
            return ""
        accepted = f"; accepted: {', '.join(PICTURES)} and DICOM" if near[0] in self.others else ""
        return f"; found: {', '.join(near[:3])}{accepted}"


def is_dicom(path: str) -> bool:
    """Whether a file is DICOM by its suffix or, where it has no known one, by its content."""
    lower = path.lower()
    if lower.endswith(DICOM):
        return True
    if lower.endswith((*PICTURES, *NOTES)):
        return False
    if not Path(path).is_file():  # a pipe would wait for a writer
        return False
    try:
        with open(path, "rb") as file:
            return file.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC
    except OSError:
        return False


def spelling(name: str) -> str:
    """What the spellings of one file name have in common."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./")).casefold()


def stem(name: str) -> str:
    """A name without its suffix, of compressed NIfTI without both."""
    short = name[:-3] if name.lower().endswith(".nii.gz") else name
    return PurePosixPath(short).with_suffix("").as_posix() if short else ""


def mask_names(image: str) -> list[str]:
    """Return what the mask of an image may be called, without suffix: `a/7`, `a/7_mask`, `a/7-seg`, ..."""
    name = stem(image)
    return [name, *(f"{name}{mark}{word}" for word in MASK_WORDS for mark in "_-")]


def image_of_mask(name: str) -> str:
    """Return the name of a mask, without suffix, as that of its image."""
    for word in MASK_WORDS:
        if name.casefold().endswith((f"_{word}", f"-{word}")):
            return name[: -len(word) - 1]
    return name


def _index(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    """Files by name, and by name without suffix."""
    found: dict[str, list[str]] = {}
    for name in names:
        for known in dict.fromkeys((key(name), key(stem(name)))):
            found.setdefault(known, []).append(name)
    return found
