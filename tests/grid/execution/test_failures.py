"""The cause of a failure, and which units are run again: lost work, and too little memory with more of it."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_units import trial_unit

from grid.execution import failures
from grid.execution.allocation import Allocation, Allocations
from grid.execution.failures import Cause, GiveUp, Retry, RetryPolicy, TrialError, TrialFailure
from medpt.errors import DivergedError, InputError

UNIT = trial_unit(0)
SHARE, MORE, ALL = Allocation(gpu=0.25), Allocation(gpu=0.5), Allocation(gpu=1.0)


def torch_error(name: str, text: str = "") -> Exception:
    import torch

    return getattr(torch.cuda, name)(text)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError(), "memory"),
        (torch_error("OutOfMemoryError", "tried to allocate 2 GiB"), "memory"),
        (RuntimeError("CUDA error: out of memory"), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "memory"),
        (RuntimeError("shapes do not fit"), "error"),
        (OSError("disk full"), "infrastructure"),
        (DivergedError("nan at step 3"), "diverged"),
        (InputError("a bad image"), "data"),
        (KeyError("name"), "error"),
    ],
)
def test_classify_gives_each_error_one_cause(error: Exception, cause: Cause) -> None:
    assert failures.classify(error) == cause


def test_classify_counts_ray_errors_as_lost_work_except_its_memory_monitor() -> None:
    from ray import exceptions

    assert failures.classify(exceptions.ActorDiedError()) == "infrastructure"
    assert failures.classify(exceptions.OutOfMemoryError("the node ran low")) == "memory"


# The rule of retries: infrastructure up to three times, memory once and only with more, nothing else.
@pytest.mark.parametrize(
    ("cause", "decisions"),
    [
        ("infrastructure", [Retry(SHARE)] * 3 + [GiveUp()] * 2),
        ("memory", [Retry(MORE)] + [GiveUp()] * 2),
        ("diverged", [GiveUp()]),
        ("data", [GiveUp()]),
        ("error", [GiveUp()]),
    ],
)
def test_retry_policy_decides_by_cause_and_count(cause: Cause, decisions: list[Retry | GiveUp]) -> None:
    policy = RetryPolicy(Allocations(gpus=1))
    assert [policy.decide(UNIT, cause) for _ in decisions] == decisions


def test_retry_policy_retries_memory_only_with_a_larger_allocation() -> None:
    whole = RetryPolicy(Allocations(gpus=1, measured={UNIT.digest: 1.0}))
    assert whole.decide(UNIT, "memory") == GiveUp()
    assert RetryPolicy(Allocations(largest_node=lambda: 1)).decide(UNIT, "memory") == GiveUp()
    machine = RetryPolicy(Allocations(largest_node=lambda: 8))
    assert machine.decide(UNIT, "memory") == Retry(Allocation(cpus=8))
    assert machine.allocation_for(UNIT) == Allocation(cpus=8)


def test_retry_policy_bounds_memory_by_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(failures.RETRIES, "memory", 9)
    policy = RetryPolicy(Allocations(gpus=1))
    assert [policy.decide(UNIT, "memory") for _ in range(3)] == [Retry(MORE), Retry(ALL), GiveUp()]


def test_retry_policy_counts_units_and_causes_apart() -> None:
    policy = RetryPolicy(Allocations(gpus=1))
    assert policy.decide(UNIT, "memory") == Retry(MORE)
    assert policy.decide(trial_unit(1), "memory") == Retry(MORE)
    assert [policy.decide(UNIT, "infrastructure") for _ in range(4)] == [Retry(MORE)] * 3 + [GiveUp()]


def trial(folder: Path, text: str) -> Any:
    """Return a trial that Tune has given up, with the file that it writes."""
    (folder / "error.txt").write_text(text)
    return SimpleNamespace(error_file=str(folder / "error.txt"), pickled_error_file=str(folder / "error.pkl"))


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (OSError("no space"), "infrastructure", "OSError: no space"),
        (MemoryError("too little"), "memory", "MemoryError: too little"),
        (KeyError("name"), "error", "KeyError: 'name'"),
    ],
)
def test_failure_of_trial_is_what_the_trial_raised(
    error: Exception, cause: Cause, reason: str, tmp_path: Path
) -> None:
    text = f"\x1b[36mTraceback\x1b[0m\ngrid.execution.failures.TrialError: {TrialError.of(error)}\n"
    expected = TrialFailure(cause, reason, failures.COLOURS.sub("", text))
    assert failures.failure_of_trial(trial(tmp_path, text)) == expected


def test_failure_of_trial_runs_no_code_from_the_pickle(tmp_path: Path) -> None:
    """Another user of the machine may have written it."""

    class Planted:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    (tmp_path / "error.pkl").write_bytes(pickle.dumps(Planted()))
    assert failures.failure_of_trial(trial(tmp_path, "The actor died\n")).reason == "The actor died"
    assert not (tmp_path / "executed").exists()


def test_failure_of_trial_knows_the_memory_monitor_by_its_text(tmp_path: Path) -> None:
    text = f"Task was {failures.KILLED_BY_RAY}\n"
    expected = TrialFailure("memory", failures.KILLED, text)
    assert failures.failure_of_trial(trial(tmp_path, text)) == expected


def test_failure_of_trial_without_files_is_lost_work(tmp_path: Path) -> None:
    for missing in (str(tmp_path / "none"), None):
        made = SimpleNamespace(error_file=missing, pickled_error_file=None)
        assert failures.failure_of_trial(made) == TrialFailure("infrastructure", failures.LOST, None)
