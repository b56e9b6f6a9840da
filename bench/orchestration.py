"""What a trial costs beside its own work: our way from plan to marker against Ray Tune as it comes.

    python -m bench.orchestration [--units 100] [--peer-trials 12]

Ours: units that do nothing go through grid.schedule, grid.worker and grid.store: digests handed out by the
searcher, processes that are reused, lease, attempt, artifacts folder and marker on disk; once without and
once with MLflow's record of each (SQLite), timed until the last record is sent. Peer: a function that only
reports, under tune.Tuner with its defaults (fewer trials; time per trial does not fall with their number),
and for information with `reuse_actors=True`. The start of Ray is in neither and is printed; what Tune takes
to start its first processes is in both. Expected: 10 times less than Tune's defaults and 110 ms a
trial at most, on two cores. Takes 80 s, and
`--units 10000` half an hour.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any
from unittest import mock

from bench.figure import Figure, limited, show
from grid.cluster.ray_session import ray_session
from grid.execution.inputs import StoreInputs
from grid.options import RunOptions
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.store.store import Store
from grid.tracking.background import BackgroundTracker
from grid.tracking.client import default_uri
from medpt.specs import Finetune, Prepare
from medpt.units.base import Job

TIMES_LESS = 10.0  # than Tune's defaults
MOST = 110.0  # ms a trial
MOST_REUSED = 500  # trials of Tune with reused processes
FLAT = 0.8  # least rate of the last tenth of the units over that of the first


def plan_of(count: int, name: str) -> Plan:
    """Fine-tunings that wait for nothing, of digests that differ by name and seed, and the data they name."""
    data = Unit(Prepare("DRIVE", "f" * 64, "resize(256)"), (), "DRIVE")
    specs = [Finetune(name, None, "DRIVE", data.digest, "resnet18", "unet", seed=n) for n in range(count)]
    units = [data, *(Unit(spec, (), f"{name} {spec.seed}") for spec in specs)]
    return Plan(name, "units that do nothing", (), (), {unit.digest: unit for unit in units})


def run_trial(config: dict[str, Any], **sent: Any) -> None:
    """What Tune calls in a worker: grid.execution.worker's own, where fine-tuning is no work."""
    from grid.execution import worker

    def nothing(spec: Finetune, inputs: StoreInputs, job: Job) -> dict[str, float]:
        return {"value": 0.0}

    with mock.patch.object(worker, "run_unit", nothing):
        worker.run_trial(config, **sent)


def ours(count: int, out: Path, *, recorded: bool) -> tuple[float, float]:
    """Return milliseconds a unit from a plan to its last marker or, if `recorded`, to its last MLflow record.

    The second value is how many times as fast the last tenth of the units ended as the first.
    """
    from grid.execution import scheduler

    plan, store = plan_of(count, "recorded" if recorded else "plain"), Store(out)
    store.create()
    record_start(store, plan, Path(f"{plan.space}.yaml"))
    todo = {name for name, unit in plan.units.items() if isinstance(unit.spec, Finetune)}
    options = RunOptions(plan.space, store.out, cache_bytes=0)
    tracker = BackgroundTracker(default_uri(store.root), store, plan)
    if recorded:
        _started(tracker)
    start = time.perf_counter()
    with mock.patch.object(scheduler, "run_trial", run_trial):
        listeners = scheduler.RunListeners([tracker.on_event], lambda images: None, lambda name: None, print)
        scheduler.run_units(plan, todo, store, options, {}, listeners)
    lost = todo - store.finished()
    assert not lost, [store.failure(name).reason for name in lost & store.failures()] or "units are lost"
    if recorded:
        assert tracker.finish() == 0, tracker.problem
    seconds = time.perf_counter() - start
    return seconds / count * 1000, flatness([marker.ended for marker in store.markers(todo).values()])


def flatness(ended: Sequence[float]) -> float:
    """Return the rate of the last tenth of the times at which units ended, over that of the first tenth."""
    times, tenth = sorted(ended), max(1, (len(ended) - 1) // 10)
    return (times[tenth] - times[0]) / (times[-1] - times[-1 - tenth])


def _started(tracker: BackgroundTracker) -> None:
    """Waits until MLflow's new database has its tables, as it has while Ray starts in a real run."""
    tracker.start()
    while tracker.connection is None:
        assert tracker.problem is None, tracker.problem
        time.sleep(0.01)


def bare_tune(count: int, folder: Path, **config: Any) -> float:
    """Seconds of `count` trials that only report."""
    from ray import tune

    def nothing(config: dict[str, Any]) -> None:
        tune.report({"finished": True})

    tuner = tune.Tuner(
        nothing,
        param_space={"number": tune.grid_search(list(range(count)))},
        tune_config=tune.TuneConfig(**config),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    start = time.perf_counter()
    with redirect_stdout(StringIO()):
        results = tuner.fit()
    seconds = time.perf_counter() - start
    assert len(results) == count
    assert not results.errors, results.errors
    return seconds


def peers(count: int, reused: int, folder: Path) -> tuple[float, float]:
    """Milliseconds a trial of Tune by default, and with reused processes, under a Ray of their own."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        return (
            bare_tune(count, folder / "default") / count * 1000,
            bare_tune(reused, folder / "reused", reuse_actors=True) / reused * 1000,
        )
    finally:
        ray.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=100, help="units that do nothing, ours")
    parser.add_argument("--peer-trials", type=int, default=12, help="of Tune by default, about 2 s each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as name:
        folder = Path(name)
        default, reused = peers(
            options.peer_trials, min(options.units, MOST_REUSED), folder
        )  # before we set Tune's environment
        begun = time.perf_counter()
        with ray_session():
            print(f"Ray started in {time.perf_counter() - begun:.1f} s (not counted below)", flush=True)
            plain, even = ours(options.units, folder / "plain", recorded=False)
            recorded, recorded_even = ours(options.units, folder / "recorded", recorded=True)
    tune_by_default = f"Ray Tune's defaults, {options.peer_trials} trials; ours {options.units} units"
    show(
        Figure("trial, scheduled and stored", plain, default, "ms", tune_by_default, TIMES_LESS),
        Figure("trial, with its MLflow record", recorded, default, "ms", tune_by_default, TIMES_LESS),
        limited("trial, scheduled and stored", plain, MOST, "ms"),
        limited("trial, with its MLflow record", recorded, MOST, "ms"),
        Figure("trial, scheduled and stored", plain, reused, "ms", "Ray Tune with reuse_actors, no store"),
        Figure("rate of the last tenth", even, 1, "x", "its first tenth", FLAT),
        Figure("the same with MLflow's records", recorded_even, 1, "x", "its first tenth", FLAT),
    )
    print(f"the driver and the bench took {getrusage(RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB at most")


if __name__ == "__main__":
    main()
