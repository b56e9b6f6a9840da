"""Why a unit did not finish, from what was raised, and how often that is tried again in one run."""

import pickle
import re
from pathlib import Path
from typing import Any

from medpt.errors import DivergedError, InputError

RETRIES = {"infrastructure": 3, "memory": 1}  # whatever else there is would end the same way again

# What CUDA and PyTorch's allocators say where they raise no error of their own kind for it.
EXHAUSTED = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")

KILLING = "killed due to the node running low on memory"  # in the words of Ray's monitor
LOST = "the process died or a file could not be written"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
KILLED = "the machine ran low on memory, and Ray ended the process"


def classify(error: BaseException) -> str:
    """diverged, data, memory, infrastructure, or error: a fault of the code."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, InputError):
        return "data"
    if is_memory(error):
        return "memory"
    return "infrastructure" if isinstance(error, OSError) or is_of_ray(error) else "error"


def is_memory(error: BaseException) -> bool:
    """Too little of a device's memory or of the machine's; Ray's own error of that name is the machine's."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in EXHAUSTED)


def is_of_ray(error: BaseException) -> bool:
    """A process, a node or an object was lost."""
    return type(error).__module__.startswith("ray.")


def failure_of_trial(trial: Any) -> tuple[str, str, str | None]:
    """(cause, reason, where it happened) of a trial that Tune has just given up, from the files that this
    process wrote of it; the last is Ray's text with the process's traceback, None where it cannot be read.

    Tune keeps what a trial raised as a pickle, and as text alone that Ray's monitor ended its process.
    """
    said = None
    try:
        said = COLOURS.sub("", Path(trial.error_file).read_text())
        if trial.pickled_error_file is None:
            return ("memory", KILLED, said) if KILLING in said else ("infrastructure", _last_line(said), said)
        error = pickle.loads(Path(trial.pickled_error_file).read_bytes())  # noqa: S301 - of our own folder
    except (OSError, EOFError, TypeError, pickle.UnpicklingError):  # the disk is full, as a rule
        return "infrastructure", LOST, said
    cause = getattr(error, "cause", None)
    inner = cause if isinstance(cause, BaseException) else error
    return classify(inner), describe(inner), said


def describe(error: BaseException) -> str:
    """One line for the record."""
    if is_of_ray(error):
        return f"the process was lost: {type(error).__name__}: {_last_line(str(error))}"
    return str(error) if isinstance(error, DivergedError | InputError) else f"{type(error).__name__}: {error}"


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), LOST)
