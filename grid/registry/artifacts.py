"""Which artifacts of a unit are published, and what a file of another laboratory may hold.

Everything else stays where it was computed: images, masks, ids of images and patients, names of files.
Nothing here executes or unpickles what it reads.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from medpt.data.manifest import COUNTS
from medpt.errors import InputError
from medpt.units.base import ITEMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = ("init.safetensors", "best.safetensors")  # on request
TRAINED = ("history.json", "record.json")
SHARED = {  # by kind of unit
    "prepare": (COUNTS,),
    "pretrain": (*TRAINED, *WEIGHTS),
    "finetune": (*TRAINED, "early.json", "items.npz"),
    "survive": ("items.npz", "curves.json"),
    "coordinates": ("coordinates.npz",),
    "svcca": ("svcca.npz",),
    "filters": ("filters.npz",),
    "probe": ("probe.npz",),
    "image_free": ("image_free.json",),
    "frozen": ("record.json", "items.npz"),
    "image_features": (),
    "evaluate": ("items.npz",),
    "slides": (),
    "features": (),
}
ROWS = ("history.json", "early.json")
LARGEST = 2**30  # bytes of a file, and of the arrays that it unpacks to
LONGEST = 100  # characters of a text in JSON; longer ones and paths are refused
NUMBERS, TEXTS = "biuf", "U"  # kinds of arrays
NAMED = ("layers",)  # arrays of the names of a network's layers


def is_shared(kind: str, name: str) -> bool:
    """Whether artifacts of this name are published of this kind of unit."""
    return name in SHARED.get(kind, ())


def check(name: str, content: bytes) -> None:
    """Raise InputError unless the content is what a shared artifact of this name may hold."""
    if len(content) > LARGEST:
        raise InputError(f"has {len(content):,} bytes; at most {LARGEST:,} are accepted")
    kind = name.rpartition(".")[2]
    {"json": _check_json, "npz": _check_arrays, "safetensors": _check_weights}[kind](content, name)


def _check_json(content: bytes, name: str) -> None:
    try:
        value = json.loads(content)
        texts = list(_texts(value))
    except (ValueError, RecursionError):
        raise InputError("is no JSON") from None
    if name in ROWS and not (isinstance(value, list) and all(map(_is_row, value))):
        raise InputError('has no list of steps such as {"step": 1, "train_loss": 0.5}')
    if name not in ROWS and not isinstance(value, dict):
        raise InputError("has no names with values")
    for text in texts:
        if len(text) > LONGEST or "/" in text or "\\" in text or not text.isprintable():
            raise InputError(f"has a text that may be a path: {text[:LONGEST]!r}")


def _is_row(value: Any) -> bool:
    """Whether a value is a step of a training: numbers by name."""
    return (
        isinstance(value, dict)
        and "step" in value
        and all(isinstance(number, int | float) for number in value.values())
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _check_arrays(content: bytes, name: str) -> None:
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise InputError(f"unpacks to {size:,} bytes; at most {LARGEST:,} are accepted")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {key: np.asarray(arrays[key]) for key in arrays.files}
    except InputError:
        raise
    except Exception as error:  # of a crafted archive: whatever zlib, zipfile and NumPy raise
        raise InputError(f"is no archive of arrays ({type(error).__name__})") from None
    for key, values in found.items():
        if values.dtype.kind not in (TEXTS if key in NAMED else NUMBERS):
            raise InputError(f"has an array `{key}` that holds no numbers")
    if name == ITEMS:
        _check_items(found)


def _check_items(arrays: "Mapping[str, NDArray[Any]]") -> None:
    """Check that arrays are of equally many test items, whose patients are numbered from 0."""
    rows = {key: len(values) for key, values in arrays.items() if values.ndim}
    if len(set(rows.values())) != 1:
        listed = ", ".join(f"{key} {count}" for key, count in rows.items()) or "no array"
        raise InputError(f"has test items of several numbers ({listed}); one number is accepted")
    patients = arrays.get("patients")
    if patients is not None and not _are_numbered(patients):
        raise InputError("has patients that are not numbered from 0 to at most the number of test items")


def _are_numbered(patients: "NDArray[Any]") -> bool:
    if patients.ndim != 1 or patients.dtype.kind not in "iu":
        return False
    return not len(patients) or bool(patients.min() >= 0 and patients.max() < len(patients))


def _check_weights(content: bytes, name: str) -> None:
    from safetensors import SafetensorError, deserialize

    try:
        deserialize(content)
    except SafetensorError as error:
        raise InputError(f"is no safetensors file ({error})") from None
