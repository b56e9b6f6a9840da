"""What a run must be after whatever befell it: as if nothing had. The sentences of the contract, checked."""

import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import tiny

from grid.tracking.client import client, default_uri
from grid.tracking.names import final_metrics
from grid.tracking.runs import DIGEST
from medpt import fault_injection
from medpt.errors import InputError

MARK = "MEDPT_FAULT_RUN"  # in the environment of all processes of a run, wherever they went


@dataclass(frozen=True)
class Kill:
    """`pid` is None where more than one process goes with it; what it stops has stopped at `until`.

    A unit that is `spared` was finished and must not be executed again.
    """

    time: float
    until: float
    pid: int | None = None
    spared: str = ""


@dataclass(frozen=True)
class Place:
    """Where runs are started so that all they leave can be found."""

    temporary: Path
    mark: str

    def start(self, command: list[str], fault: str = "") -> "subprocess.Popen[str]":
        own = {
            MARK: self.mark,
            "TMPDIR": str(self.temporary),
            fault_injection.VARIABLE: fault,
            "COLUMNS": "160",
        }
        with (self.temporary / "output").open("w") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                env=os.environ | own,
            )

    def output(self) -> str:
        return (self.temporary / "output").read_text()

    def processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                environment = Path(
                    f"/proc/{process.pid}/environ"
                ).read_bytes()  # psutil's ends at a new title
                marked = f"{MARK}={self.mark}".encode() in environment.split(b"\0")
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.Error, OSError):
                continue

    def folders(self) -> list[str]:
        return sorted(path.name for path in self.temporary.glob("medpt-*"))


@contextmanager
def place() -> Iterator[Place]:
    """A folder whose path is short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(prefix="mf-") as temporary:
        made = Place(Path(temporary), temporary)
        try:
            yield made
        finally:
            for process in made.processes():
                process.kill()


def planned(folder: Path, *wanted: str) -> str:
    """The variable's value; what happened is noted in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return ";".join(f"{fault},in:{folder}" for fault in wanted)


def broken(out: Path, reference: Path, kills: Iterable[Kill]) -> list[str]:
    """Every sentence of the contract that the run in `out` breaks, against one that nothing disturbed."""
    plan, found = set(tiny.markers(reference)), set(tiny.markers(out))
    problems = [f"lost: {name}" for name in sorted(plan - found)]
    problems += [f"not planned: {name}" for name in sorted(found - plan)]
    for what in (tiny.numbers, tiny.weights):
        theirs = what(reference)
        try:
            ours = what(out)
        except InputError as error:
            problems.append(f"damaged: {error}")
            continue
        problems += [
            f"other {what.__name__}: {name}" for name in sorted(ours) if ours[name] != theirs.get(name)
        ]
    problems += [f"failed: {path.stem}" for path in (out / "failed").glob("*.json")]
    return problems + repeated(out, list(kills)) + unrecorded(out)


def repeated(out: Path, kills: list[Kill]) -> list[str]:
    """Executions that followed one which no kill interrupted, and those that followed the marker."""
    problems = []
    markers = tiny.markers(out)
    for name, lines in attempts(out).items():
        for before, after in pairwise(lines):
            if not any(kill.spared != name and interrupts(kill, before, after) for kill in kills):
                problems.append(f"executed again though nothing interrupted it: {name}")
        if name in markers and any(line["started"] > markers[name]["ended"] for line in lines):
            problems.append(f"executed again after it was finished: {name}")
    return problems


def interrupts(kill: Kill, before: dict[str, Any], after: dict[str, Any]) -> bool:
    in_time = before["started"] <= kill.until and kill.time <= after["started"]
    return in_time and kill.pid in (None, before["pid"])


def attempts(out: Path) -> dict[str, list[dict[str, Any]]]:
    """Of each unit what its executions say of themselves, first to last."""
    return {folder.name: executions(folder) for folder in (out / "leases").glob("*")}


def executions(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        with suppress(FileNotFoundError):  # a claim that was withdrawn meanwhile
            found.append(json.loads(path.read_text()))
    return found


def unrecorded(out: Path) -> list[str]:
    """Units without exactly one finished MLflow run that has every row of the history once."""
    runs, markers = tiny.mlflow_runs(out), tiny.markers(out)
    names = Counter(run.data.tags[DIGEST] for run in runs)
    problems = [
        f"{names[name]} MLflow runs: {name}" for name in names.keys() | markers.keys() if names[name] != 1
    ]
    connection = client(default_uri(out))
    for run in runs:
        name = run.data.tags[DIGEST]
        history = out / "units" / name / "history.json"
        rows = json.loads(history.read_text()) if history.exists() else []
        sent = connection.get_metric_history(run.info.run_id, "train_loss") if rows else []
        results = markers.get(name, {"metrics": {}})["metrics"].keys()
        whole = run.info.status == "FINISHED" and results <= final_metrics(run.data.metrics).keys()
        if not whole or [(m.step, m.value) for m in sent] != [
            (row["step"], row["train_loss"]) for row in rows
        ]:
            problems.append(f"MLflow run is not whole: {name}")
    return problems
