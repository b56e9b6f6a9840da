"""Why a unit did not finish, and whether it is tried again in the same run."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from grid.execution.allocation import Allocation, Allocations
from grid.plan.plan import Unit
from grid.store.records import Cause
from medpt.errors import DivergedError, InputError

RETRIES: dict[Cause, int] = {"infrastructure": 3, "memory": 1}  # the other causes would end the same way

# What the allocators of CUDA and PyTorch say where they do not raise an error of their own type.
MEMORY_MESSAGES = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")

KILLED_BY_RAY = "killed due to the node running low on memory"  # in the message of Ray's memory monitor
KILLED = "the machine ran low on memory, and Ray ended the process"
LOST = "the process died or a file could not be written"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
RAISED = re.compile(rf"TrialError: \[({'|'.join(get_args(Cause))})\] (.*)")


@dataclass(frozen=True)
class TrialFailure:
    """A failure as the driver sees it; `trace` is the text of the traceback, None where there is none."""

    cause: Cause
    reason: str
    trace: str | None = None


@dataclass(frozen=True)
class Retry:
    """The unit is run again, with `allocation`."""

    allocation: Allocation


@dataclass(frozen=True)
class GiveUp:
    """The unit has failed for this run."""


class RetryPolicy:
    """Decides which failed units are run again; counts the retries of each unit by cause."""

    def __init__(self, allocations: Allocations) -> None:
        self._allocations = allocations
        self._retries: Counter[tuple[str, Cause]] = Counter()

    def allocation_for(self, unit: Unit) -> Allocation:
        """Return what the next trial of `unit` gets."""
        return self._allocations.allocation_for(unit)

    def decide(self, unit: Unit, cause: Cause) -> Retry | GiveUp:
        """Return whether `unit`, which failed for `cause`, is run again.

        Lost work is retried as it was, up to the bound in RETRIES; too little memory only with a larger
        allocation than before. Every other cause would end the same way again.
        """
        if self._retries[unit.digest, cause] >= RETRIES.get(cause, 0):
            return GiveUp()
        if cause == "memory" and not self._allocations.increase(unit):
            return GiveUp()
        self._retries[unit.digest, cause] += 1
        return Retry(self._allocations.allocation_for(unit))


def classify(error: BaseException) -> Cause:
    """Return the cause that an exception stands for."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, InputError):
        return "data"
    if is_memory(error):
        return "memory"
    return "infrastructure" if isinstance(error, OSError) or is_of_ray(error) else "error"


def is_memory(error: BaseException) -> bool:
    """Return whether the memory of a device or of the machine was too small.

    Ray's own OutOfMemoryError is the machine's.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_MESSAGES)


def is_of_ray(error: BaseException) -> bool:
    """Return whether Ray raised the error: a process, a node or an object was lost."""
    return type(error).__module__.startswith("ray.")


def describe(error: BaseException) -> str:
    """Return the reason of a failure in one line."""
    if is_of_ray(error):
        return f"the process was lost: {type(error).__name__}: {_last_line(str(error))}"
    return str(error) if isinstance(error, DivergedError | InputError) else f"{type(error).__name__}: {error}"


class TrialError(RuntimeError):
    """What a trial raises to Ray Tune. Its text holds cause and reason, since the driver reads text alone."""

    @classmethod
    def of(cls, error: BaseException) -> "TrialError":
        """Return what stands for an exception of the trial."""
        return cls(f"[{classify(error)}] {describe(error)}")


def failure_of_trial(trial: Any) -> TrialFailure:
    """Return the failure of a trial that Tune has just given up, from the text that Tune wrote about it.

    The pickle that Tune writes beside it is not read. A trial whose process was killed raises nothing; then
    the text is Ray's. The trace is that text; None where the file cannot be read.
    """
    try:
        text = COLOURS.sub("", Path(trial.error_file).read_text(encoding="utf-8"))
    except (OSError, TypeError):  # most often because the disk is full
        return TrialFailure("infrastructure", LOST)
    if raised := RAISED.findall(text):
        cause, reason = raised[-1]
        return TrialFailure(cause, reason, text)
    if KILLED_BY_RAY in text:
        return TrialFailure("memory", KILLED, text)
    return TrialFailure("infrastructure", _last_line(text), text)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), LOST)
