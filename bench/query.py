"""Seconds in which `python -m grid.query` and `grid.report` answer from a record of thousands of runs.

    python -m bench.query [--runs 5000] [--repeats 3]

Makes an MLflow database (SQLite) as a space of that many trials leaves it: one run is recorded by MLflow, the
others are its copies in SQL with numbers of their own, ten evaluations each. Every question is asked by a new
process, from the store's plan and from MLflow alone. The report reads each unit's marker and learning curve
from the store as well. Takes three minutes on two cores.
"""

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

from bench.figure import best
from grid.execution.worker import marker_of
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.space.trials import Trial
from grid.store.store import Store
from grid.tracking.background import BackgroundTracker
from grid.tracking.client import default_uri
from grid.tracking.runs import DIGEST
from medpt.files import write_json
from medpt.models.registry import ARCHITECTURES, BACKBONES
from medpt.specs import Finetune

MOST, MOST_REPORT = 5.0, 60.0  # seconds that a question and the report may take
SIZED = product(("ImageNet", "ADE20K", "CheXpert", "EyePACS"), (5_000, 10_000, 20_000))
SOURCES = (("random", None), ("imagenet*", None), *SIZED)
TARGETS = ("DRIVE", "HRF", "DRISHTI-GS", "CardiacMRI", "NIH-CT-82")
EVALUATIONS = 10
QUESTIONS = {
    "cells": (),
    "effect": ("--ask", "effect"),
    "best": ("--ask", "best"),
    "size": ("--ask", "size"),
}


def trials(count: int) -> list[Trial]:
    """Of U-Net and its peers on vessels and organs; as many seeds as it takes."""
    cells = list(product(SOURCES, BACKBONES, ARCHITECTURES, TARGETS))
    seeds = -(-count // len(cells))
    rows = (Trial("bench", *s, b, a, t, 1.0, seed) for s, b, a, t in cells for seed in range(seeds))
    return list(islice(rows, count))


def plan_of(count: int) -> Plan:
    planned = []
    for trial in trials(count):
        spec = Finetune(
            trial.label, "0" * 64, trial.target, "1" * 64, trial.backbone, trial.architecture, seed=trial.seed
        )
        planned.append((trial, Unit(spec, (), f"{trial.label} → {trial.target}")))
    return Plan(
        space="bench",
        title="thousands of runs",
        trials=tuple((trial, unit.digest) for trial, unit in planned),
        analyses=(),
        units={unit.digest: unit for _, unit in planned},
    )


def finish(store: Store, unit: Unit) -> None:
    """As an ended fine-tuning leaves it: a marker and a learning curve."""
    built = store.root / "units" / "built"
    built.mkdir()
    steps = range(1, EVALUATIONS + 1)
    curve = [{"step": 10 * n, "train_loss": 0.5, "val_miou": n / 20, "time": 1.0} for n in steps]
    write_json(built / "history.json", curve)
    metrics = dict.fromkeys(("miou", "foreground_miou", "dice", "image_miou", "steps", "best_step"), 0.5)
    store.publish(unit.digest, built, marker_of(unit, metrics, 1.0, 1))


def record_one(store: Store, plan: Plan) -> str:
    """The id of the first unit's run, recorded by the tracker as finished."""
    digest, unit = next(iter(plan.units.items()))
    finish(store, unit)
    tracker = BackgroundTracker(default_uri(store.root), store, plan)
    tracker.start()
    assert tracker.finish() == 0, tracker.problem
    assert tracker.tracker
    return tracker.tracker.runs[digest][0]


def rows_of(connection: sqlite3.Connection, table: str, run: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,))  # noqa: S608 - our names
    return [column[0] for column in cursor.description], cursor.fetchall()


def copy_run(database: Path, run: str, plan: Plan) -> None:
    """The recorded run once more for every other unit, each with its own factors and values."""
    dice = random.Random(0)  # noqa: S311 - numbers to fill a table
    connection = sqlite3.connect(database)
    units = list(plan.units.items())[1:]
    names = {digest: uuid.UUID(int=dice.getrandbits(128)).hex for digest, _ in units}
    for table in ("runs", "params", "tags", "latest_metrics", "metrics"):
        columns, originals = rows_of(connection, table, run)
        marks = ",".join("?" * len(columns))
        copies = (
            copied(dict(zip(columns, row, strict=True)), table, names[digest], digest, unit, dice)
            for digest, unit in units
            for row in originals
        )
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", copies)  # noqa: S608 - our names
    connection.executemany("INSERT INTO metrics VALUES (?,?,?,?,?,?)", history(names.values(), dice))
    connection.commit()
    connection.close()


def copied(
    row: dict[str, Any], table: str, run: str, digest: str, unit: Unit, dice: random.Random
) -> tuple[Any, ...]:
    assert isinstance(unit.spec, Finetune)
    row = row | {"run_uuid": run}
    if table == "runs":
        row |= {"artifact_uri": str(row["artifact_uri"]).rsplit("/", 2)[0] + f"/{run}/artifacts"}
    factors = {
        "initialization": unit.spec.initialization,
        "dataset": unit.spec.dataset,
        "target": unit.spec.dataset,
        "backbone": unit.spec.backbone,
        "architecture": unit.spec.architecture,
        "seed": str(unit.spec.seed),
        DIGEST: digest,
    }
    if table in ("params", "tags") and row["key"] in factors:
        row["value"] = factors[row["key"]]
    if "metrics" in table:
        row["value"] = 0.5 + dice.random() / 10
    return tuple(row.values())


def history(runs: Any, dice: random.Random) -> Iterator[tuple[Any, ...]]:
    """Rows of MLflow's table `metrics`: key, value, timestamp, run, step, is_nan."""
    for run in runs:
        for step in range(EVALUATIONS):
            for key in ("val_miou", "train_loss", "learning_rate", "step"):
                yield key, dice.random(), step, run, step, 0


def report(out: Path) -> None:
    command = [sys.executable, "-m", "grid.report", "--space", "bench", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def ask(out: Path, *question: str) -> None:
    command = [sys.executable, "-m", "grid.query", "--space", "bench", "--metric", "miou", *question]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as name:
        out, plan = Path(name), plan_of(options.runs)
        store = Store(out)
        store.create()
        record_start(store, plan, Path(f"{plan.space}.yaml"))
        copy_run(out / "mlflow.db", record_one(store, plan), plan)
        for question, words in QUESTIONS.items():
            show(question, best(partial(ask, out, *words), options.repeats), len(plan.units))
        for unit in list(plan.units.values())[1:]:
            finish(store, unit)
        show("report", best(partial(report, out), 1), len(plan.units), MOST_REPORT)
        store.documents.remove(f"spaces/{plan.space}.json")
        show("cells, MLflow alone", best(partial(ask, out), options.repeats), len(plan.units))


def show(question: str, seconds: float, runs: int, most: float = MOST) -> None:
    verdict = "ok" if seconds <= most else "short"
    print(f"{question:<20} {seconds:5.2f} s over {runs:,} runs  target <= {most:g} s  {verdict}", flush=True)


if __name__ == "__main__":
    main()
