"""The whole command without Ray: units run one after the other in this process, data in plain loops.

Only the part of Ray is replaced: options, plan, execution, record and report are those of `grid.run`. So a
test of what a run computes takes seconds. What Ray does is tested with `tiny.run`.
"""

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
import tiny
from pyarrow import parquet

from grid import run as command
from grid import space_run
from grid.cluster import process_exit, ray_session
from grid.execution import scheduler
from grid.execution.allocation import Allocations, Capacity
from grid.execution.coordinator import Coordinator
from grid.execution.data_units import data_pipelines, prepare_data_units, publish_data
from grid.execution.failures import RetryPolicy
from grid.execution.scheduler import RunListeners
from grid.execution.worker import execute_unit
from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.preparation import images, streaming
from grid.store.store import Store


def run(space: Path, data: Path | None, out: Path, *more: str, code: int = 0) -> str:
    """Run the command, check its exit code, and return what it printed."""
    found, printed = ended(space, data, out, *more)
    assert found == code, printed
    return printed


def ended(space: Path, data: Path | None, out: Path, *more: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed."""
    arguments = tiny.command(space, data, out, *more)[3:]  # without `python -m grid.run`
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "160")
        for name in ("message_on_crash", "watch_connection"):
            patch.setattr(process_exit, name, nothing)
        patch.setattr(process_exit, "exit_on_signals", lambda *arguments: None)
        patch.setattr(ray_session, "ray_session", nothing)
        patch.setattr(ray_session, "gcs_address", str)
        patch.setattr(space_run, "check_capacity", lambda run: Capacity(1, 0))
        patch.setattr(scheduler, "run_units", run_units)
        patch.setattr(images, "map_pieces", map_pieces)
        patch.setattr(streaming, "stream", stream)
        patch.setattr(ray, "put", lambda value: value)
        patch.setattr(ray, "get", lambda value: value)
        with redirect_stdout(printed), redirect_stderr(printed):
            code = command.main(arguments)
    return code, printed.getvalue()


@contextmanager
def nothing(*arguments: object) -> Iterator[None]:
    """Stand in for what guards a run on Ray."""
    yield


def run_units(
    plan: Plan, todo: set[str], store: Store, options: RunOptions, datasets: Any, listeners: RunListeners
) -> None:
    """Run the units as grid.execution.scheduler does, one at a time."""
    coordinator = Coordinator(plan, todo, store, RetryPolicy(Allocations()), listeners.on_event)
    pipelines = data_pipelines(store, datasets, listeners.on_images, listeners.on_prepared)
    publish = partial(publish_data, store, options)
    arguments = (coordinator, store, pipelines, publish)
    preparing = threading.Thread(target=prepare_data_units, args=arguments, daemon=True)
    preparing.start()
    while config := coordinator.next_trial("the only one"):
        ended = execute_unit(plan.units[config["digest"]], store, options, config["gpu"])
        coordinator.trial_ended("the only one", ended)
    preparing.join()


def map_pieces(items: Sequence[Mapping[str, Any]], write: Callable[[Any], Any]) -> Iterator[dict[str, Any]]:
    """Call `write` with each item, as a batch of one."""
    for item in items:
        batch = write({name: [value] for name, value in item.items()})
        yield {name: value for name, (value,) in batch.items()}


def stream(paths: list[Path], select: Callable[[Any, int], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one batch of columns per shard."""
    for position, path in enumerate(paths):
        yield select(parquet.read_table(path), position)
