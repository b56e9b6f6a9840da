"""One unit of work, run by a process that Ray Tune started or reuses: from its digest to its marker.

What a fault means: an interrupted process or a full disk is infrastructure, raised to Tune, which runs the
unit again from its last checkpoint. A loss that is not a number, bad data, too little memory and errors in
the code fail the unit once, with the reason on record.
"""

import ctypes
import gc
import json
import logging
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from grid.plan import Unit, unit_from
from grid.store import Store
from medpt import files
from medpt.errors import DivergedError, InputError
from medpt.files import TEMPORARY
from medpt.models.weights import published_name
from medpt.spec import VERSIONS, Finetune, Pretrain

log = logging.getLogger(__name__)

CAUSES: list[tuple[type[Exception], str]] = [(DivergedError, "diverged"), (InputError, "data")]


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


def trainable(config: dict[str, Any], site: dict[str, Any]) -> None:
    """What Ray Tune calls: runs the unit that `config["digest"]` names."""
    from ray import tune

    place = Site(**site)
    unit = _units(place.plan)[config["digest"]]
    tune.report({"finished": execute(unit, place)})


@lru_cache(maxsize=4)
def _units(plan: str) -> dict[str, Unit]:
    return {name: unit_from(plain) for name, plain in files.read_json(Path(plan))["units"].items()}


def execute(unit: Unit, site: Site) -> bool:
    """Runs the unit unless it is finished; whether it is then. Raises OSError on infrastructure faults."""
    store = Store(Path(site.out))
    with store.lease(unit.digest):
        if store.is_finished(unit.digest):
            return True
        try:
            _attempt(unit, store, site)
            return True
        except OSError:
            raise
        except Exception as error:
            if _is_interruption(error):
                raise
            _record_failure(unit, store, error)
            return False


def _attempt(unit: Unit, store: Store, site: Site) -> None:
    attempt, started = store.attempt(unit.digest), time.time()
    folder = store.root / "units" / f"{TEMPORARY}{unit.digest[:16]}-{uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        metrics = RUNNERS[unit.kind](unit, store, site, folder)
        store.publish(unit.digest, folder, facts(unit, metrics, started, attempt))
    finally:
        files.remove(folder)
        _give_memory_back()


def _give_memory_back() -> None:
    """A process that is reused must not keep the largest unit's memory (measured: 300 MB a unit)."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def facts(unit: Unit, metrics: dict[str, float], started: float, attempt: int) -> dict[str, Any]:
    """What a marker says beside its artifacts."""
    return unit.plain() | {
        "digest": unit.digest,
        "version": VERSIONS[unit.kind],
        "metrics": metrics,
        "host": socket.gethostname(),
        "attempt": attempt,
        "started": started,
        "ended": time.time(),
    }


def _record_failure(unit: Unit, store: Store, error: Exception) -> None:
    cause = next((name for kind, name in CAUSES if isinstance(error, kind)), "error")
    if _out_of_memory(error):
        cause = "memory"
    path = store.root / "failed" / f"{unit.digest}.log"
    files.write_text(path, traceback.format_exc())
    reason = str(error) if cause in ("diverged", "data") else f"{type(error).__name__}: {error}"
    store.fail(unit.digest, cause, reason, path)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _is_interruption(error: Exception) -> bool:
    """Errors of Ray itself: a node or an object was lost."""
    return type(error).__module__.startswith("ray.")


def _pretrain(unit: Unit, store: Store, site: Site, folder: Path) -> dict[str, float]:
    from medpt import pretrain

    spec = unit.spec
    assert isinstance(spec, Pretrain)  # noqa: S101 - for the type checker
    device = _device(site)
    feeds = [_feed(store, site, digest, device) for digest in spec.data]
    return pretrain.run(spec, feeds, folder, **_training(unit, store, site, device))


def _finetune(unit: Unit, store: Store, site: Site, folder: Path) -> dict[str, float]:
    from medpt import finetune

    spec = unit.spec
    assert isinstance(spec, Finetune)  # noqa: S101 - for the type checker
    device = _device(site)
    feed = _feed(store, site, spec.data, device)
    initial = _initial(spec, unit, store, site)
    return finetune.run(spec, feed, folder, initial=initial, **_training(unit, store, site, device))


RUNNERS: dict[str, Callable[[Unit, Store, Site, Path], dict[str, float]]] = {
    "pretrain": _pretrain,
    "finetune": _finetune,
}


def _initial(spec: Finetune, unit: Unit, store: Store, site: Site) -> dict[str, Any] | None:
    from medpt.models import weights

    if spec.weights is None:
        return None
    if spec.weights in unit.needs:
        return weights.load(store.artifact(spec.weights, "best.safetensors"))
    return weights.published(spec.backbone, weights_file(site.imagenet_weights, spec.backbone))


def weights_file(folder: str | None, backbone: str) -> Path | None:
    """torchvision's file of that backbone in the folder of --imagenet-weights, if one was given."""
    return Path(folder) / published_name(backbone) if folder else None


def _training(unit: Unit, store: Store, site: Site, device: str) -> dict[str, Any]:
    return {
        "checkpoints": store.checkpoints(unit.digest),
        "device": device,
        "checkpoint_seconds": site.checkpoint_seconds,
        "on_row": _live(store.live(unit.digest)),
    }


def _live(path: Path) -> Callable[[dict[str, float]], None]:
    """Appends each row of metrics for whoever follows the unit; a new execution starts afresh."""
    path.unlink(missing_ok=True)

    def append(row: dict[str, float]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return append


def _feed(store: Store, site: Site, digest: str, device: str) -> Any:
    from grid.feed import open_feed

    cache = Path(site.cache) / digest
    return open_feed(store.folder(digest), cache, site.cache_bytes, device)


def _device(site: Site) -> str:
    import torch

    torch.set_num_threads(1)  # one CPU a trial, and the same sums whatever the machine
    if not site.gpu_share or not torch.cuda.is_available():
        return "cpu"
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(site.gpu_share)
    return "cuda"
