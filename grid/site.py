"""Where and how units run, as plain data for the processes that run them."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid.store.leases import SECONDS

if TYPE_CHECKING:
    from grid.store.store import Store


@dataclass(frozen=True)
class Site:
    """Where and how units run; nothing of it changes a result."""

    out: str  # a folder or a URL
    plan: str  # the space, whose plan lies in the store
    cache: str  # a folder of each node for arrays; empty: beside its copies of a bucket
    cache_bytes: int
    checkpoint_seconds: float
    imagenet_weights: str | None = None  # a folder with torchvision's files
    gpu_share: float = 0.0  # of the trial that runs, set in its process
    run: str = ""  # of the driver that these processes work for
    lease_seconds: float = SECONDS

    def store(self) -> "Store":
        from grid.store.store import Store

        return Store(self.out, self.run, self.lease_seconds)

    def arrays(self, store: "Store") -> Path:
        return Path(self.cache) if self.cache else store.cache

    def plain(self) -> dict[str, Any]:
        """All that trials have in common."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "gpu_share"}
