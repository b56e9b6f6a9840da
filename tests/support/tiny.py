"""A space and data so small that a whole run takes seconds, and the oracle that every run of it must meet."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import trackers

from grid.store.store import Store
from grid.tracking.client import default_uri
from medpt import phantom

SPACE = """
title: the smallest grid
metrics: paper
size: 32
pretrain: {min_steps: 0, max_steps: 8, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 8, evaluate_every: 2}
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017, DRIVE]
    seed: [0]
"""
UNITS = 3 + 1 + 4


class Run(NamedTuple):
    """A run that is over: what it read, where it wrote, what it printed."""

    data: Path
    space: Path
    out: Path
    output: str


TIMES = {"started", "ended", "host", "attempt", "artifacts", "files", "peak", "is_verified"}


def data(folder: Path) -> Path:
    phantom.write("ISIC2019", folder / "ISIC2019", train=40, size=48)
    phantom.write("ChestXRay2017", folder / "ChestXRay2017", train=24, test=16, size=48)
    phantom.write("DRIVE", folder / "DRIVE", train=6, test=4, size=48)
    return folder


def written(folder: Path, text: str = SPACE, name: str = "tiny") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def command(space: Path, data: Path | None, out: Path, *more: str) -> list[str]:
    given = ["--space", str(space), "--out", str(out), *(["--data", str(data)] if data else [])]
    often = [] if "--checkpoint-seconds" in more else ["--checkpoint-seconds", "0.2"]
    return [sys.executable, "-m", "grid.run", *given, *often, *more]


def start(*arguments: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=os.environ | {"COLUMNS": "160"},
    )


def run(*arguments: Any, code: int = 0, seconds: float = 1200) -> str:
    process = start(*arguments)
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == code, output
    return output


def markers(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "done").glob("*.json")}


def numbers(out: Path) -> dict[str, Any]:
    """All that must not depend on when and how often a unit ran: metrics and histories without times."""
    return numbers_of(Store(out))


def numbers_of(store: Store) -> dict[str, Any]:
    found = {}
    for name in store.finished():
        marker = store.marker(name)
        has_history = "history.json" in marker.artifacts
        rows = json.loads(store.artifact(name, "history.json").read_text()) if has_history else []
        facts = {key: value for key, value in asdict(marker).items() if key not in TIMES}
        facts["history"] = [{k: v for k, v in row.items() if k != "time"} for row in rows]
        found[name] = facts
    return found


def executions(out: Path) -> dict[str, int]:
    return {path.name: len(list(path.glob("*.json"))) for path in (out / "leases").iterdir()}


def holders(out: Path, name: str) -> list[dict[str, Any]]:
    """Who executed a unit, in order."""
    paths = sorted((out / "leases" / name).glob("*.json"), key=lambda path: int(path.stem))
    return [json.loads(path.read_text()) for path in paths]


def weights(out: Path) -> dict[str, str]:
    """sha256 of every published network."""
    return {
        f"{name}/{file}": value
        for name, marker in markers(out).items()
        for file, value in marker["artifacts"].items()
        if file.endswith(".safetensors")
    }


def mlflow_runs(out: Path) -> list[Any]:
    return trackers.runs(default_uri(out))[1]
