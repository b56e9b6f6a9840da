"""Checkpoints of a training, from which a killed run resumes.

Each checkpoint is one safetensors file whose name holds its step and the start of the sha256 of its content,
so that a truncated or altered file is detected before it is used. Only tensors and JSON are read. A folder
has one writer at a time, and belongs to one specification.
"""

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpt import fault_injection
from medpt.files import TEMPORARY, remove, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

QUARANTINE = "quarantine"
KEPT = 2  # files
NAME = re.compile(r"(?P<step>\d{10})-(?P<sha256>[0-9a-f]{16})\.safetensors")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """The two newest checkpoints, in `folder`; training saves one every `seconds`.

    Invalid files are moved to `folder`/quarantine with a warning, and the checkpoint before is used.
    """

    folder: Path
    seconds: float = 30.0

    def save(self, tensors: "dict[str, Tensor]", meta: dict[str, Any], step: int) -> Path:
        """Write the newest checkpoint and return its file. `meta` is JSON, in which nan is allowed."""
        from safetensors.torch import save

        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        content = save(on_cpu, metadata={"meta": json.dumps(meta)})
        path = self.folder / f"{step:010d}-{_fingerprint(content)}.safetensors"
        write_bytes(path, content)
        fault_injection.point("after_checkpoint")
        for old in self._files()[KEPT:]:
            remove(old)
        return path

    def newest(self) -> "tuple[dict[str, Tensor], dict[str, Any]] | None":
        """Return the tensors (on the CPU) and `meta` of the newest valid checkpoint, or None."""
        for path in self._files():
            content = path.read_bytes()
            if NAME.fullmatch(path.name)["sha256"] == _fingerprint(content):  # type: ignore[index]
                return _parse(content)
            self._quarantine(path)
        return None

    def clear(self) -> None:
        """Remove all checkpoints, also those in quarantine."""
        remove(self.folder)

    def _files(self) -> list[Path]:
        """Return the files, newest first, after removing what a killed writer left incomplete."""
        if not self.folder.is_dir():
            return []
        for leftover in self.folder.glob(f"{TEMPORARY}*"):
            remove(leftover)
        files = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(files, key=lambda path: path.name, reverse=True)

    def _quarantine(self, path: Path) -> None:
        (self.folder / QUARANTINE).mkdir(exist_ok=True)
        os.replace(path, self.folder / QUARANTINE / path.name)
        log.warning(
            "checkpoint %s is damaged (its content does not match its name); moved it to %s/",
            path,
            QUARANTINE,
        )


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _parse(content: bytes) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    from safetensors.torch import load

    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return load(content), json.loads(header["__metadata__"]["meta"])
