"""Which artifacts of a unit are published, and what a file of another laboratory may hold.

Everything else stays where it was computed: images, masks, ids of images and patients, names of files.
Nothing here executes or unpickles what it reads.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grid.registry.arrays import LARGEST, read_arrays
from grid.registry.documents import read_document
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
    return {"json": read_document, "npz": read_arrays, "safetensors": _read_weights}[kind](content, name)


def documents(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return what `read` gives of each shared artifact, by name."""
    return {name: read(name, content) for name, content in contents.items()}


def _read_weights(content: bytes, name: str) -> "dict[str, Tensor]":
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"is no safetensors file ({error})") from None
