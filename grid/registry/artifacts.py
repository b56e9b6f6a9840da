"""Which artifacts of a unit are published, and what a file of another laboratory may hold.

Everything else stays where it was computed: images, masks, ids of images and patients, names of files.
Nothing here executes or unpickles what it reads.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from grid.registry.arrays import LARGEST, check_text, read_arrays
from medpt.data.manifest import COUNTS
from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

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


def is_shared(kind: str, name: str) -> bool:
    """Whether artifacts of this name are published of this kind of unit."""
    return name in SHARED.get(kind, ())


def read(name: str, content: bytes) -> Any:
    """Return the arrays, the JSON value or the tensors of a shared artifact.

    Raises InputError unless the content is what an artifact of this name may hold.
    """
    if len(content) > LARGEST:
        raise InputError(f"has {len(content):,} bytes; at most {LARGEST:,} are accepted")
    kind = name.rpartition(".")[2]
    return {"json": _read_json, "npz": read_arrays, "safetensors": _read_weights}[kind](content, name)


def documents(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what `read` gives of each shared artifact but weights, by name."""
    return {name: read(name, content) for name, content in contents.items() if name not in WEIGHTS}


def _read_json(content: bytes, name: str) -> Any:
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
        check_text(text)
    return value


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


def _read_weights(content: bytes, name: str) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"is no safetensors file ({error})") from None
