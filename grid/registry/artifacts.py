"""Which artifacts of a unit are published, and what a file of another laboratory may hold.

Everything else stays where it was computed: images, masks, ids of images and patients, names of files.
Nothing here executes or unpickles what it reads.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from medpt.data.manifest import COUNTS
from medpt.errors import InputError

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
    {"json": _check_json, "npz": _check_arrays, "safetensors": _check_weights}[kind](content)


def _check_json(content: bytes) -> None:
    try:
        texts = list(_texts(json.loads(content)))
    except (ValueError, RecursionError):
        raise InputError("is no JSON") from None
    for text in texts:
        if len(text) > LONGEST or "/" in text or "\\" in text or not text.isprintable():
            raise InputError(f"has a text that may be a path: {text[:LONGEST]!r}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _check_arrays(content: bytes) -> None:
    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise InputError(f"unpacks to {size:,} bytes; at most {LARGEST:,} are accepted")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            kinds = {name: arrays[name].dtype.kind for name in arrays.files}
    except InputError:
        raise
    except Exception as error:  # of a crafted archive: whatever zlib, zipfile and NumPy raise
        raise InputError(f"is no archive of arrays ({type(error).__name__})") from None
    for name, kind in kinds.items():
        if kind not in (TEXTS if name in NAMED else NUMBERS):
            raise InputError(f"has an array `{name}` that holds no numbers")


def _check_weights(content: bytes) -> None:
    from safetensors import SafetensorError, deserialize

    try:
        deserialize(content)
    except SafetensorError as error:
        raise InputError(f"is no safetensors file ({error})") from None
