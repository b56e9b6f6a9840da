"""Scores of sources on targets: what the paper printed, a CSV file, or the results of a space."""

import math
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grid.advise.record import Floats, ScoreTable
from grid.claims import published
from grid.results.cells import Cell, find_cells
from grid.results.display import METRIC_NAMES
from grid.space.trials import network_id
from medpt.errors import InputError
from medpt.frozen_specs import FINETUNE

if TYPE_CHECKING:
    import pandas as pd

PAPER = "Wen et al. 2021"
METRICS = {"AUC": "classification", "mIoU": "segmentation"}  # of the paper: the task
SIZE = re.compile(r"-\d+k$")  # of a source's sample, such as CheXpert-20k
LARGEST = 1e6  # of scores
LONG = ("source", "target", "score")
ACCEPTED = (
    "accepted: columns source, target, score and further ones with what a choice can be made by; "
    "or a column source and one for each target"
)

Key = tuple[str, str]  # target, network
Scores = dict[str, dict[Key, float]]  # by source


def plain_name(source: str) -> str:
    """Return a source without the size of its sample."""
    return SIZE.sub("", source)


def paper_table(task: str) -> ScoreTable:
    """Return the paper's cells of tables 2 and 3 for a task, under this project's names.

    Of multilabel datasets, which the paper does not have, these are the cells of classification.
    """
    task = "classification" if task == "multilabel" else task
    targets = {theirs: ours for ours, theirs in published.TARGETS.items()}
    sources = {theirs: ours for ours, theirs in published.INITIALIZATIONS.items()}
    found: Scores = defaultdict(dict)
    for row in published.rows():
        if METRICS.get(row["metric"]) == task:
            key = (targets.get(row["target"], row["target"]), row["model"])
            name = plain_name(row["initialization"])
            found[sources.get(name, name)][key] = float(row["mean"])
    return _table(f"{PAPER}, {task}", found, {})


def space_table(frame: "pd.DataFrame", name: str, task: str | None = None) -> ScoreTable:
    """Return the headline results of the fine-tunings of a space, with those of its frozen probes.

    A column is a comparison group; of a group that was measured under several protocols each is one. Of a
    source in several sizes the largest counts.
    """
    found: Scores = defaultdict(dict)
    choosers: dict[str, Scores] = defaultdict(lambda: defaultdict(dict))
    for cell in sorted(find_cells(frame), key=lambda cell: cell.key.sample_size or math.inf):
        if not cell.n or not _belongs(cell, frame, task):
            continue
        network = network_id(cell.key.architecture, cell.key.backbone)
        key = (cell.key.target, f"{network} {cell.key.target_size} {cell.key.protocol}")
        source = plain_name(cell.label)
        found[source][key] = cell.mean
        for values in choosers.values():
            values[source].pop(key, None)
        for probe in frame.attrs["probes"]:
            if probe.name == cell.key.initialization and probe.digests & set(cell.digests.values()):
                metric = METRIC_NAMES.get(cell.metric, cell.metric)
                choosers[f"{metric} of the frozen probe"][source][key] = probe.mean(cell.metric)
                choosers["LogME"][source][key] = probe.scores.get("logme", np.nan)
    return _table(f"space `{name}`", found, choosers)


def _belongs(cell: Cell, frame: "pd.DataFrame", task: str | None) -> bool:
    """Whether a cell is of fine-tunings, and its target of the task; None stands for every task."""
    is_finetuned = cell.fields.get("mode") in (None, FINETUNE)
    return is_finetuned and task in (None, frame.loc[frame["target"] == cell.key.target, "task"].iloc[0])


def csv_table(path: Path) -> ScoreTable:
    """Return the scores of a CSV file, in points. Raises InputError where it is no such table."""
    import pandas as pd

    if not path.is_file():
        raise InputError(f"--scores {path}: no such file; {ACCEPTED}")
    try:
        names = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].tolist()
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--scores {path}: cannot be read as CSV ({error}); {ACCEPTED}") from None
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise InputError(f"--scores {path}: the column {', '.join(twice)} is there twice; {ACCEPTED}")
    if "source" not in frame:
        raise InputError(f"--scores {path}: columns {', '.join(map(str, frame))}; {ACCEPTED}")
    if not set(LONG) <= set(frame):
        frame = frame.melt("source", var_name="target", value_name="score")
    numbers = [str(name) for name in frame if name not in LONG[:2]]
    _check(path, frame, numbers)
    found: dict[str, Scores] = {name: defaultdict(dict) for name in numbers}
    for row in frame.to_dict("records"):
        for name in numbers:
            found[name][str(row["source"])][str(row["target"]), ""] = float(row[name])
    scores = found.pop("score")
    return _table(str(path), scores, found)


def _check(path: Path, frame: "pd.DataFrame", numbers: list[str]) -> None:
    import pandas as pd

    wrong = [name for name in numbers if not pd.api.types.is_numeric_dtype(frame[name])]
    problems = [f"--scores {path}: column {name} has values that are no numbers" for name in wrong]
    large = [name for name in numbers if name not in wrong and (frame[name].abs() > LARGEST).any()]
    problems += [
        f"--scores {path}: column {name} has {frame[name].abs().max():g}; up to {LARGEST:g} is accepted"
        for name in large
    ]
    if frame[[*LONG[:2]]].isna().any(axis=None):
        problems.append(f"--scores {path}: a row without source or target")
    if "score" not in wrong and not frame["score"].notna().any():
        problems.append(f"--scores {path}: no score is there")
    twice = frame[frame.duplicated(["source", "target"])]
    problems += [
        f"--scores {path}: two rows of {source} on {target}"
        for source, target in zip(twice["source"], twice["target"], strict=True)
    ]
    if problems:
        raise InputError(problems)


def _table(origin: str, found: Scores, choosers: dict[str, Any]) -> ScoreTable:
    sources = tuple(found)
    keys = tuple(dict.fromkeys(key for row in found.values() for key in row))

    def matrix(values: Scores) -> Floats:
        rows = [[values.get(source, {}).get(key, np.nan) for key in keys] for source in sources]
        return np.array(rows, float).reshape(len(sources), len(keys))

    known = {name: matrix(values) for name, values in choosers.items()}
    return ScoreTable(
        origin=origin,
        sources=sources,
        targets=tuple(target for target, _ in keys),
        scores=matrix(found),
        choosers={name: values for name, values in known.items() if np.isfinite(values).any()},
    )
