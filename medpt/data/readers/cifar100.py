"""CIFAR-100, python version: pickles of pixel rows, read without running anything that they contain.

Three files in a folder, or the archive that holds them, read in place. Whatever they are, the unpickler
allows numpy arrays and nothing else. Their md5 shows whether they are the published ones: others are
read too, and a note says so.
"""

import hashlib
import io
import pickle
import pickletools
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import find_root
from medpt.data.readers import tar
from medpt.data.reading import read_bytes, reading
from medpt.errors import InputError

SUBSETS: tuple[Split, ...] = ("train", "test")
MD5 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}
FILES = (*SUBSETS, "meta")
ARCHIVE, INSIDE = "cifar-100-python.tar.gz", "cifar-100-python"
SIDE = 32
MEMO = ("PUT", "BINPUT", "LONG_BINPUT")  # operations that fill a place of the memo
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # how Python 3 writes bytes in protocol 2
}


def open(card: DatasetCard, root: Path) -> Dataset:
    """Fine labels 0..99; a record's slice is its row.

    Raises InputError for keys, shapes and labels that do not fit, and for an archive that is cut short.
    """
    top = find_root(root, lambda folder: _place(folder) is not None, f"{', '.join(FILES)} or {ARCHIVE}")
    paths = {name: (_place(top) or top) / name for name in FILES}
    contents = {name: _content(path) for name, path in paths.items()}
    classes = tuple(_strings(parse(contents["meta"], paths["meta"]), "fine_label_names", paths["meta"]))
    subsets = {subset: parse(contents[subset], paths[subset]) for subset in SUBSETS}
    problems = [
        text for subset in SUBSETS for text in _problems(paths[subset], subsets[subset], len(classes))
    ]
    if problems:
        raise InputError(problems)
    records = tuple(
        Record(card.name, path, str(name), str(name), slice=row, label=int(label), split=subset)
        for subset in SUBSETS
        for path in [paths[subset].relative_to(top).as_posix()]
        for row, (name, label) in enumerate(
            zip(_names(subsets[subset], subset), subsets[subset]["fine_labels"], strict=True)
        )
    )
    notes = tuple(
        f"{paths[subset]}: not the published file (md5 differs from {MD5[subset]})"
        for subset in SUBSETS
        if hashlib.md5(contents[subset], usedforsecurity=False).hexdigest() != MD5[subset]
    )
    return Dataset(replace(card, classes=classes), top, records, _image, notes=notes)


def _place(folder: Path) -> Path | None:
    """Where the files are: `folder`, or its archive as `archive!folder`."""
    if all((folder / name).is_file() for name in FILES):
        return folder
    return folder / f"{ARCHIVE}!{INSIDE}" if (folder / ARCHIVE).is_file() else None


def _content(path: Path) -> bytes:
    """Of a file, or of `archive!member`, which is read in place."""
    outer, inside, member = str(path).partition(f"{ARCHIVE}!")
    if not inside:
        return read_bytes(path)
    found = tar.packed(Path(outer + ARCHIVE), lambda name: name if name == member else None)
    if member not in found:  # a link is none: it may lead to itself
        raise InputError(f"{path}: no such file in the archive")
    return found[member]


def load(path: Path) -> dict[str, Any]:
    """`parse` of a file, or of `archive!member`."""
    return parse(_content(path), path)


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """The dict of a pickle, keys as str, by an unpickler that knows numpy arrays only.

    Raises InputError, naming `path`, for anything else.
    """
    with reading(path, "a CIFAR pickle"):
        _check_memo(content, path)
        value = _Restricted(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(value, dict):
        raise InputError(f"{path}: a pickled {type(value).__name__}; accepted: a dict")
    return {_text(key): item for key, item in value.items()}


def _check_memo(content: bytes, path: Path) -> None:
    """Raise InputError for a place in the memo beyond what the pickle can have filled.

    The unpickler allocates memory for every entry below it, so that nine bytes can take 4 GB.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name in MEMO and isinstance(argument, int) and argument > count + 1:
            raise InputError(f"{path}: not a CIFAR pickle: it asks for place {argument:,} of the memo")


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


class _Restricted(pickle.Unpickler):  # noqa: S301 - it knows numpy arrays only
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; accepted: numpy arrays")
        return super().find_class(module, name)


def _strings(value: dict[str, Any], key: str, path: Path) -> list[str]:
    if not isinstance(value.get(key), list):
        raise InputError(f"{path}: no list {key}; found: {', '.join(map(str, value))}")
    return [_text(name) for name in value[key]]


def _names(subset: dict[str, Any], split: str) -> list[str]:
    """The original file names identify images; `split` keeps a name that both subsets use apart."""
    names = subset.get("filenames") or range(len(subset["data"]))
    return [f"{split}/{_text(name)}" for name in names]


def _problems(path: Path, subset: dict[str, Any], classes: int) -> list[str]:
    pixels, labels = subset.get("data"), subset.get("fine_labels")
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        return [f"{path}: no data and fine_labels; found: {', '.join(map(str, subset))}"]
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3 * SIDE * SIDE:
        return [f"{path}: data are {pixels.dtype} {pixels.shape}; accepted: uint8 (N, {3 * SIDE * SIDE})"]
    counts = {key: len(subset[key]) for key in ("fine_labels", "filenames") if key in subset}
    problems = [f"{path}: {n} {key} for {len(pixels)} rows" for key, n in counts.items() if n != len(pixels)]
    accepted = f"accepted: 0 to {classes - 1}"
    problems += [
        f"{path}, row {row}: label {v!r}; {accepted}"
        for row, v in enumerate(labels)
        if not (isinstance(v, int) and 0 <= v < classes)
    ]
    return problems


@lru_cache(maxsize=2)
def _pixels(path: Path) -> NDArray[np.uint8]:
    return load(path)["data"].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _image(root: Path, record: Record) -> NDArray[np.uint8]:
    return np.ascontiguousarray(_pixels(root / record.image_path)[record.slice])
