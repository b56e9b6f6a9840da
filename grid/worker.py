"""One unit of work, run by a process that Ray Tune started or reuses: from its digest to its marker.

What a fault means: an interrupted process or a full disk is infrastructure, raised to Tune, which runs the
unit again from its last checkpoint. A loss that is not a number, bad data, too little memory and errors in
the code fail the unit once, with the reason on record.
"""

import ctypes
import gc
import logging
import socket
import sys
import time
import traceback
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from grid.lean import loading
from grid.plan import Unit, unit_from
from grid.runners import RUNNERS
from grid.site import Site
from grid.store import Store
from medpt import faults, files
from medpt.data import own
from medpt.errors import DivergedError, InputError
from medpt.files import TEMPORARY
from medpt.spec import DATA_KINDS, VERSIONS

log = logging.getLogger(__name__)

WARM_SECONDS = 60.0  # that a process without work is kept while data are prepared

CAUSES: list[tuple[type[Exception], str]] = [(DivergedError, "diverged"), (InputError, "data")]


def trainable(config: dict[str, Any], site: dict[str, Any]) -> None:
    """What Ray Tune calls: runs the unit that `config["digest"]` names."""
    from ray import tune

    place = Site(**site)
    own.recall(Path(place.out))
    units = _units(place.plan)
    if config.get("warm_up"):
        warm_up(Store(Path(place.out)), units.values())
        tune.report({"finished": False})
    else:
        tune.report({"finished": execute(units[config["digest"]], place)})


def warm_up(store: Store, units: Iterable[Unit]) -> None:
    """Loads what training needs and waits for the first data, as Tune keeps one idle process, not several."""
    with loading():
        import torch

        import medpt.models.encoders
        import medpt.pretrain  # noqa: F401

        torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # loads half of torch
    data = [unit.digest for unit in units if unit.kind in DATA_KINDS]
    until = time.monotonic() + WARM_SECONDS
    while time.monotonic() < until and not any(map(store.is_finished, data)):
        time.sleep(0.2)


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
    faults.running(f"{unit.kind}-{unit.digest}")
    faults.point("unit_started")
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
    _keep_modules()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@cache
def _keep_modules() -> None:
    """Once a process: what is there now stays, and later collections need not look at it (0.3 s each)."""
    gc.freeze()


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
