"""The tensors of a file that somebody else wrote, by name, without running any code that is in it.

Checkpoints nest: `{"state_dict": {...}}`, `{"teacher": ..., "student": ...}`. Here every tensor has one name,
the keys on the way to it joined by dots, so that a wrapper is nothing but a prefix to strip. What is not a
tensor is excluded. Importing this module does not import torch.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

MOST_TENSORS = 100_000
MOST_VALUES = 2_000_000  # that are looked at: a file can hold one mapping many times
MOST_LEVELS = 16
NOT_READ = {  # by the first bytes of a file
    b"\x89HDF": "an HDF5 file of Keras",
    b"PK\x03\x04": "a zip file without tensors of PyTorch",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"<htm": "a page of a web site; download the file itself",
    b"<!DO": "a page of a web site; download the file itself",
    b"vers": "a pointer of Git LFS; fetch the file itself",
}


def file_format(path: Path) -> str:
    """Return the format of a file of weights, safetensors or torch, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(9)
    return "safetensors" if head[8:] == b"{" else "torch"


def read_tensors(path: Path, kind: str) -> dict[str, Tensor]:
    """Return all tensors of a file by their dotted names, in the order of the file, on the CPU.

    `kind` is safetensors or torch. Raises InputError if the file is none of that kind, is damaged, has code
    in it, or holds too much.
    """
    if kind == "safetensors":
        from medpt.models.weights import load

        return load(path)
    if file_format(path) != "torch":
        raise InputError(f"{path}: a safetensors file; write `format: safetensors`")
    found: dict[str, Tensor] = {}
    for name, tensor in _walk(_unpickled(path), path):
        if name in found:
            raise InputError(f"{path}: two tensors are called {name}; this file cannot be read")
        found[name] = tensor
        if len(found) > MOST_TENSORS:
            raise InputError(f"{path}: more than {MOST_TENSORS:,} tensors; this is no file of weights")
    if not found:
        raise InputError(f"{path}: there is no tensor in this file; a state dict is expected")
    return found


def _unpickled(path: Path) -> Any:
    """Return what `torch.save` wrote: tensors and plain containers, by PyTorch's restricted unpickler."""
    import torch

    zipped = zipfile.is_zipfile(path)
    try:
        if zipped:
            _check_size(path)
        with warnings.catch_warnings():  # about the protocol of old pickles
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except InputError:
        raise
    except Exception as error:  # a damaged file may raise anything in the restricted unpickler
        raise InputError(f"{path}: {_reason(path, error)}") from error


def _check_size(path: Path) -> None:
    """Refuse a zip file that unpacks to more than it is: `torch.save` compresses nothing."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 2 * path.stat().st_size:
            raise InputError(f"{path}: its content is compressed, which PyTorch never does; it is not read")


def _reason(path: Path, error: Exception) -> str:
    """Say why a file is not read: by its first bytes, or by the class that it wants to be imported."""
    with path.open("rb") as file:
        head = file.read(4)
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return (
            f"holds more than tensors ({named[1]}), and only tensors are read; "
            "if you trust the file, load it with PyTorch and save its state dict alone"
        )
    what = NOT_READ.get(head, "damaged, or of another format")
    return f"not a complete PyTorch file of tensors ({type(error).__name__}): {what}"


def _walk(value: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested mappings and lists in their order, with dotted names."""
    from torch import Tensor

    stack, seen = [("", value, 0)], 0
    while stack:
        name, item, level = stack.pop()
        seen += 1
        if seen > MOST_VALUES or level > MOST_LEVELS:
            raise InputError(f"{path}: nested too deep or too large; this is no file of weights")
        if isinstance(item, Tensor):
            yield name, item
        elif isinstance(item, Mapping | list | tuple):
            pairs = item.items() if isinstance(item, Mapping) else enumerate(item)
            inner = [(f"{name}.{key}" if name else str(key), each, level + 1) for key, each in pairs]
            stack.extend(reversed(inner))
