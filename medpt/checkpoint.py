"""A unit's state between kills: whole or absent, and never trusted unread.

Each state is one safetensors file whose name carries its step and the start of the sha256 of its content, so
that a file that was cut or altered is known before a tensor of it is used. Only tensors and JSON are read.
One writer a folder; whether the state belongs to the present specification is the caller's to know.
"""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpt import fault_injection
from medpt.files import TEMPORARY, remove, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

QUARANTINE = "quarantine"
NAME = re.compile(r"(?P<step>\d{10})-(?P<sha256>[0-9a-f]{16})\.safetensors")

log = logging.getLogger(__name__)


class Checkpoints:
    """The newest states in `folder`, at most `keep` of them.

    Invalid files move to `folder`/quarantine with a warning each and their predecessor is used.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def save(self, tensors: "dict[str, Tensor]", meta: dict[str, Any], step: int) -> Path:
        """Writes the state as the newest one; returns its file. `meta` is JSON, nan included."""
        from safetensors.torch import save

        at_rest = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(at_rest, metadata={"meta": json.dumps(meta)})
        path = self.folder / f"{step:010d}-{_fingerprint(content)}.safetensors"
        write_bytes(path, content)
        fault_injection.point("after_checkpoint")
        for old in self._files()[self.keep :]:
            remove(old)
        return path

    def newest(self) -> "tuple[dict[str, Tensor], dict[str, Any]] | None":
        """Tensors (on the CPU) and meta of the newest whole state, or None."""
        for path in self._files():
            content = path.read_bytes()
            if NAME.fullmatch(path.name)["sha256"] == _fingerprint(content):  # type: ignore[index]
                return _parse(content)
            self._quarantine(path)
        return None

    def clear(self) -> None:
        """Removes all states, the quarantined ones too."""
        remove(self.folder)

    def _files(self) -> list[Path]:
        """Newest first, after sweeping what a killed writer left half-written."""
        if not self.folder.is_dir():
            return []
        for leftover in self.folder.glob(f"{TEMPORARY}*"):
            remove(leftover)
        files = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(files, key=lambda path: path.name, reverse=True)

    def _quarantine(self, path: Path) -> None:
        (self.folder / QUARANTINE).mkdir(exist_ok=True)
        os.replace(path, self.folder / QUARANTINE / path.name)
        log.warning("%s: content does not match its name; moved to %s/", path, QUARANTINE)


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _parse(content: bytes) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    from safetensors.torch import load

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["meta"])
