"""The whole command without Ray: units run one after the other in this process, data in plain loops.

Only the part of Ray is replaced: options, plan, execution, record and report are those of `grid.run`. So a
test of what a run computes takes seconds. What Ray does is tested with `tiny.run`.
"""

import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
import tiny
from pyarrow import parquet

from grid import run as command
from grid import space_run
from grid.execution.allocation import Allocations
from grid.execution.coordinator import Coordinator
from grid.execution.data_units import data_pipelines, prepare_data_units, publish_data
from grid.execution.failures import RetryPolicy
from grid.execution.worker import execute_unit
from grid.preparation import images, streaming


def run(space: Path, data: Path | None, out: Path, *more: str, code: int = 0) -> str:
    """Run the command, check its exit code, and return what it printed."""
    arguments = tiny.command(space, data, out, *more)[3:]  # without `python -m grid.run`
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "160")
        patch.setattr(space_run, "run_units", run_units)
        patch.setattr(space_run.process_exit, "exit_on_signals", lambda *arguments: None)
        patch.setattr(images, "map_pieces", map_pieces)
        patch.setattr(streaming, "stream", stream)
        patch.setattr(ray, "put", lambda value: value)
        patch.setattr(ray, "get", lambda value: value)
        with redirect_stdout(printed), redirect_stderr(printed):
            ended = command.main(arguments)
    assert ended == code, printed.getvalue()
    return printed.getvalue()


def run_units(run: space_run.Run, todo: list[str], opened: Any, tracker: Any, recorder: Any) -> None:
    """Run the units as grid.execution.scheduler does, one at a time."""
    plan, store, options = run.plan, run.store, run.options
    coordinator = Coordinator(plan, set(todo), store, RetryPolicy(Allocations()), [tracker.on_event])
    pipelines = data_pipelines(store, opened, lambda images: None, recorder.wait)
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
