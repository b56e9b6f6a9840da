"""Seconds of the processor in which `grid.query` and `grid.report` answer from a record of thousands of runs.

    python -m bench.query [--runs 5000] [--repeats 3]

Makes an MLflow database (SQLite) as a space of that many trials leaves it: one run is recorded by MLflow, the
others are its copies in SQL with numbers of their own, ten evaluations each. Each unit's folder has a
learning curve and the confusion matrices of its test images. Every question is asked by a new process, with
all intervals and verdicts, from the store's plan and from MLflow alone.
"""

import argparse
import random
import resource
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

import numpy as np

from bench.figure import best, limited, show
from grid.execution.worker import marker_of
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.space.trials import Trial
from grid.store.store import Store
from grid.tracking.background import BackgroundTracker
from grid.tracking.client import default_uri
from grid.tracking.runs import DIGEST
from medpt.files import write_arrays, write_json
from medpt.models.registry import ARCHITECTURES, BACKBONES
from medpt.specs import Finetune, Prepare
from medpt.units.base import ITEMS

MOST, MOST_REPORT = 10.0, 30.0  # seconds of the processor that a question and the report may take
MOST_MEGABYTES = 5.0  # of the report's page
SIZED = product(("ImageNet", "ADE20K", "CheXpert", "EyePACS"), (5_000, 10_000, 20_000))
SOURCES = (("random", None), ("imagenet*", None), *SIZED)
TARGETS = ("DRIVE", "HRF", "DRISHTI-GS", "CardiacMRI", "NIH-CT-82")
EVALUATIONS, IMAGES = 10, 50
QUESTIONS = {
    "cells": (),
    "compare": ("--ask", "compare"),
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
    data = {target: Unit(Prepare(target, "f" * 64, "resize(256)"), (), target) for target in TARGETS}
    planned = []
    for trial in trials(count):
        needs = data[trial.target].digest
        spec = Finetune(
            trial.label, "0" * 64, trial.target, needs, trial.backbone, trial.architecture, seed=trial.seed
        )
        planned.append((trial, Unit(spec, (needs,), f"{trial.label} → {trial.target}")))
    return Plan(
        space="bench",
        title="thousands of runs",
        trials=tuple((trial, unit.digest) for trial, unit in planned),
        analyses=(),
        units={unit.digest: unit for unit in (*data.values(), *(unit for _, unit in planned))},
    )


def fine_tunings(plan: Plan) -> list[Unit]:
    return [unit for unit in plan.units.values() if isinstance(unit.spec, Finetune)]


def value_of(digest: str) -> float:
    """A unit's metrics: from 0.5 to 0.6."""
    return 0.5 + int(digest[:8], 16) / 2**32 / 10


def finish(store: Store, unit: Unit) -> None:
    """As an ended fine-tuning leaves it: a marker, a learning curve and what each test image contributed."""
    built = store.root / "units" / "built"
    built.mkdir()
    steps = range(1, EVALUATIONS + 1)
    curve = [{"step": 10 * n, "train_loss": 0.5, "val_miou": n / 20, "time": 1.0} for n in steps]
    write_json(built / "history.json", curve)
    hits = np.random.default_rng(int(unit.digest[:8], 16)).integers(0, 200, (IMAGES, 1, 1))
    areas = np.array([[[800, 0], [0, 0]]]) + hits * [[[0, 0], [0, 1]]] + (200 - hits) * [[[0, 0], [1, 0]]]
    write_arrays(built / ITEMS, {"confusions": areas, "patients": np.arange(IMAGES)})
    names = ("miou", "foreground_miou", "dice", "image_miou", "steps", "best_step")
    metrics = dict.fromkeys(names, value_of(unit.digest))
    store.publish(unit.digest, built, marker_of(unit, metrics, 1.0, 1))


def record_one(store: Store, plan: Plan) -> str:
    """The id of the first unit's run, recorded by the tracker as finished."""
    unit = fine_tunings(plan)[0]
    finish(store, unit)
    tracker = BackgroundTracker(default_uri(store.root), store, plan)
    tracker.start()
    assert tracker.finish() == 0, tracker.problem
    assert tracker.tracker
    return tracker.tracker.runs[unit.digest][0]


def rows_of(connection: sqlite3.Connection, table: str, run: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run,))  # noqa: S608 - our names
    return [column[0] for column in cursor.description], cursor.fetchall()


def copy_run(database: Path, run: str, plan: Plan) -> None:
    """The recorded run once more for every other unit, each with its own factors and values."""
    dice = random.Random(0)  # noqa: S311 - numbers to fill a table
    connection = sqlite3.connect(database)
    units = [(unit.digest, unit) for unit in fine_tunings(plan)[1:]]
    names = {digest: uuid.UUID(int=dice.getrandbits(128)).hex for digest, _ in units}
    for table in ("runs", "params", "tags", "latest_metrics", "metrics"):
        columns, originals = rows_of(connection, table, run)
        marks = ",".join("?" * len(columns))
        copies = (
            copied(dict(zip(columns, row, strict=True)), table, names[digest], digest, unit)
            for digest, unit in units
            for row in originals
        )
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", copies)  # noqa: S608 - our names
    connection.executemany("INSERT INTO metrics VALUES (?,?,?,?,?,?)", history(names.values(), dice))
    connection.commit()
    connection.close()


def copied(row: dict[str, Any], table: str, run: str, digest: str, unit: Unit) -> tuple[Any, ...]:
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
        row["value"] = value_of(digest)
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


def processor() -> float:
    """Return the processor time of all commands so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
        for unit in fine_tunings(plan)[1:]:
            finish(store, unit)
        for question, words in QUESTIONS.items():
            show_question(question, best(partial(ask, out, *words), options.repeats, processor))
        show(limited("report", best(partial(report, out), 1, processor), MOST_REPORT, "s"))
        size = (out / "reports" / "bench" / "index.html").stat().st_size / 1e6
        show(limited("page of the report", size, MOST_MEGABYTES, "MB"))
        store.documents.remove(f"spaces/{plan.space}.json")
        show_question("cells, MLflow alone", best(partial(ask, out), options.repeats, processor))


def show_question(question: str, seconds: float) -> None:
    show(limited(f"query: {question}", seconds, MOST, "s"))


if __name__ == "__main__":
    main()
