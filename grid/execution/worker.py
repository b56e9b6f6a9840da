"""Run one unit in a process that Ray Tune started or reuses, from its digest to its marker.

A unit that another process holds is returned as "taken" and tried again later. Infrastructure faults (an
interrupted process, a full disk) are raised to Tune, and the unit resumes from its last checkpoint in a new
trial. A diverged loss, bad data, too little memory and errors in the code are recorded with their reason; of
these only too little memory is tried once more.
"""

import ctypes
import gc
import logging
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from grid.execution import failures, leak_guard
from grid.execution.allocation import measure_peaks, reset_peaks
from grid.execution.inputs import StoreInputs, append_metrics, open_device
from grid.options import RunOptions
from grid.plan.plan import Unit
from grid.plan.stored_plans import read_plan
from grid.store.leases import Lease
from grid.store.records import Marker
from grid.store.store import Store, SupersededError
from medpt import fault_injection, files
from medpt.files import TEMPORARY
from medpt.specs import Evaluate, Pretrain
from medpt.units.base import Job, run_unit

log = logging.getLogger(__name__)

WARM_SECONDS = 60.0  # that a process without work waits for the first data
CLAIM_SECONDS = 5.0  # that a process waits for a unit which another one holds
Outcome = Literal["finished", "failed", "taken"]


def run_trial(config: dict[str, Any], options: dict[str, Any], plan: str, run: str) -> None:
    """Run the unit that `config["digest"]` names, of a plan in the store, in a process of Ray Tune.

    `options` is RunOptions as JSON, `run` names the driver. Raises TrialError where the work was lost.
    """
    from ray import tune

    try:
        outcome = _run_trial(config, RunOptions.from_json(options), plan, run)
    except Exception as error:
        raise failures.TrialError.of(error) from error
    tune.report({"finished": outcome == "finished", "outcome": outcome})


def _run_trial(config: Mapping[str, Any], options: RunOptions, plan: str, run: str) -> Outcome:
    store = options.open_store(run)
    units = _units(store.out, plan)
    if config.get("warm_up"):
        warm_up(store, units.values())
        return "taken"
    return execute_unit(units[config["digest"]], store, options, config["gpu"])


def warm_up(store: Store, units: Iterable[Unit]) -> None:
    """Load what training needs and wait for the first data, as Tune keeps only one process idle."""
    import torch

    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])  # loads half of torch
    data = {unit.digest for unit in units if unit.spec.makes_data}
    until = time.monotonic() + WARM_SECONDS
    while time.monotonic() < until and not data & store.finished():
        time.sleep(0.5)


@lru_cache(maxsize=4)
def _units(out: str, plan: str) -> Mapping[str, Unit]:
    return read_plan(Store(out), plan).units


def execute_unit(unit: Unit, store: Store, options: RunOptions, gpu_share: float) -> Outcome:
    """Run the unit unless another process does or did. Raises OSError for infrastructure faults."""
    lease = _claim(unit.digest, store)
    if lease is None:
        return "finished" if store.is_finished(unit.digest) else "taken"
    with store.leases.held(lease):
        try:
            _attempt(unit, store, options, gpu_share, lease)
            return "finished"
        except OSError:
            raise
        except SupersededError as error:
            log.warning("%s: %s", unit.label, error)
            return "finished" if store.is_finished(unit.digest) else "taken"
        except Exception as error:
            if failures.is_of_ray(error):
                raise
            _record_failure(unit, store, error)
            return "failed"


def _claim(digest: str, store: Store) -> Lease | None:
    until = time.monotonic() + CLAIM_SECONDS
    while (lease := store.claim(digest)) is None and time.monotonic() < until:
        if store.is_finished(digest):
            return None
        time.sleep(0.2)
    return lease


def _attempt(unit: Unit, store: Store, options: RunOptions, gpu_share: float, lease: Lease) -> None:
    started = time.time()
    fault_injection.running(f"{unit.kind}-{unit.digest}")
    fault_injection.point("unit_started")
    folder = store.root / "units" / f"{TEMPORARY}{unit.digest[:16]}-{uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        reset_peaks()
        with store.synced(unit.digest):
            inputs = StoreInputs(store, options, unit.needs, open_device(gpu_share))
            metrics, settings = _run(unit, inputs, folder)
        marker = marker_of(unit, metrics, started, lease.attempt)
        share = {"gpus": gpu_share} if gpu_share else {}
        store.publish(unit.digest, folder, replace(marker, peak=measure_peaks() | share | settings))
    finally:
        files.remove(folder)
        _give_memory_back()


def _run(unit: Unit, inputs: StoreInputs, folder: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Run the unit and return its metrics and, of a training, the settings of its steps."""
    store, settings = inputs.store, dict[str, str]()
    job = Job(
        folder=folder,
        checkpoints=store.checkpoints(unit.digest),
        device=inputs.device,
        checkpoint_seconds=inputs.options.checkpoint_seconds,
        on_metrics=append_metrics(store.live(unit.digest)),
        keeps_network=inputs.options.keeps_networks,
        settings_cache=inputs.settings_cache,
        on_settings=lambda chosen: settings.update(step=str(chosen)),
    )
    if isinstance(unit.spec, Pretrain) and unit.spec.guards:
        return leak_guard.pretrain_guarded(unit.spec, inputs, job), settings
    if isinstance(unit.spec, Evaluate) and unit.spec.target_data:
        return leak_guard.evaluate_guarded(unit.spec, inputs, job), settings
    return run_unit(unit.spec, inputs, job), settings


def _give_memory_back() -> None:
    """Return memory to the system, so that a reused process does not keep it (measured: 300 MB per unit)."""
    gc.collect()
    _keep_modules()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@cache
def _keep_modules() -> None:
    """Exclude loaded modules from garbage collection, which saves 0.3 s each time; done once per process."""
    gc.freeze()


def marker_of(unit: Unit, metrics: dict[str, float], started: float, attempt: int) -> Marker:
    """Return the marker of a unit that ends now on this machine."""
    return unit.marker(metrics, socket.gethostname(), attempt, started, time.time())


def _record_failure(unit: Unit, store: Store, error: Exception) -> None:
    store.fail(unit.digest, failures.classify(error), failures.describe(error), traceback.format_exc())
    traceback.clear_frames(error.__traceback__)  # they hold the network, on a device that others share
    _give_memory_back()
