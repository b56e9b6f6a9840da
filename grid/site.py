"""Where and how units run, as plain data for the processes that run them."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Site:
    """Where and how units run; nothing of it changes a result."""

    out: str
    plan: str  # the file of the plan, below `out`
    cache: str
    cache_bytes: int
    checkpoint_seconds: float
    imagenet_weights: str | None = None  # a folder with torchvision's files
    gpu_share: float = 0.0

    def plain(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}
