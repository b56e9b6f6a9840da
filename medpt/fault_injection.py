"""Named points at which a test kills, stops, fails or delays a process; without $MEDPT_FAULT nothing happens.

    MEDPT_FAULT="unit:pretrain-*,at:after_checkpoint,do:kill9,count:1,in:/tmp/counted"

`unit` and `at` are shell patterns for the running unit (kind-digest) and the point. `do` is kill9, stop
(until SIGCONT), `raise ENOSPC` (any name of an errno) or `sleep SECONDS`. The fault happens `count` times
over all processes together: each time is a file in the folder `in`, which only one process can create.
Several faults are separated by `;`.
"""

import errno
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

VARIABLE = "MEDPT_FAULT"
ACTIONS = "kill9, stop, raise ERRNO, sleep SECONDS"

_unit = ""


@dataclass(frozen=True)
class Fault:
    at: str
    do: str
    folder: Path
    unit: str = "*"
    count: int = 1


def running(unit: str) -> None:
    """Set the unit (kind-digest) to which the following points of this process belong."""
    global _unit
    _unit = unit


def point(name: str) -> None:
    """Mark a point by name; faults that are planned for it happen here."""
    if text := os.environ.get(VARIABLE):
        for number, fault in enumerate(planned(text)):
            if (
                fnmatchcase(name, fault.at)
                and fnmatchcase(_unit, fault.unit)
                and _is_due(number, fault, name)
            ):
                _happen(fault.do, name)


def happened(folder: Path) -> list[dict[str, Any]]:
    """Return the faults so far, in order of time: fault, point, unit, pid and time."""
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.json")]
    return sorted(map(json.loads, filter(None, texts)), key=lambda fact: fact["time"])  # empty: being written


@lru_cache(maxsize=8)
def planned(text: str) -> tuple[Fault, ...]:
    """Parse faults; raise ValueError for bad text, so that no test runs without the fault it asked for."""
    return tuple(_fault(part) for part in text.split(";"))


def _fault(text: str) -> Fault:
    given = dict(_pairs(text))
    unknown = given.keys() - {"unit", "at", "do", "count", "in"}
    if unknown or not {"at", "do", "in"} <= given.keys():
        raise ValueError(f"{VARIABLE}: `{text}`: accepted: at, do, in, and perhaps unit, count")
    _check_action(given["do"])
    return Fault(
        given["at"], given["do"], Path(given["in"]), given.get("unit", "*"), int(given.get("count", "1"))
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        key, _, value = part.partition(":")
        yield key.strip(), value.strip()


def _check_action(do: str) -> None:
    word, _, value = do.partition(" ")
    known = {
        "kill9": value == "",
        "stop": value == "",
        "raise": hasattr(errno, value),
        "sleep": value.replace(".", "", 1).isdigit(),
    }
    if not known.get(word, False):
        raise ValueError(f"{VARIABLE}: do:{do}: accepted: {ACTIONS}")


def _is_due(number: int, fault: Fault, name: str) -> bool:
    """Return whether fewer than `count` faults have happened, and claim this one for the process."""
    facts = {"fault": number, "at": name, "unit": _unit, "pid": os.getpid(), "time": time.time()}
    for turn in range(fault.count):
        try:
            handle = os.open(fault.folder / f"{number}-{turn}.json", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            continue
        os.write(handle, json.dumps(facts).encode())
        os.close(handle)
        return True
    return False


def _happen(do: str, name: str) -> None:
    word, _, value = do.partition(" ")
    if word == "kill9":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif word == "sleep":
        time.sleep(float(value))
    else:
        number = getattr(errno, value)
        raise OSError(number, f"{os.strerror(number)} (planned at {name})")
