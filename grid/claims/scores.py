"""The cells that claims are judged on, by the paper's names: from trials, from analyses, or as printed.

Scores are in points (per cent); steps and cmd as they are.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from grid.claims import published
from grid.query import METRICS
from grid.space.trials import Trial
from medpt.data.cards import CARDS, OWN, card
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 3  # paper, section 2.1
SAME, OTHER = "same modality", "another modality"
ANALYSES = {  # the columns of each analysis
    "svcca": ("source", "layer", "similarity"),
    "gabor": ("source", "filter", "score"),
    "cmd": ("a", "b", "cmd"),
}

NAMES = ("backbone", "architecture", "initialization", "target", "target_size")  # of a cell, in our frames

Key = tuple[str, str, str, float]  # model, initialization, target, share of the target


@dataclass(frozen=True)
class Score:
    """`values` by seed (of filters: by number), empty where only a summary is known; std has ddof 1."""

    mean: float
    std: float | None
    n: int
    planned: int
    values: Mapping[int, float] = field(default_factory=dict)


Scores = dict[Key, Score]


def printed() -> Scores:
    """Every cell of the paper's tables 2, 3, 5 and 6."""
    return {(*key, 1.0): Score(m, std, REPEATS, REPEATS) for key, (_, m, std) in published.cells().items()}


def from_trials(frame: "pd.DataFrame", measure: str) -> Scores:
    """`score` takes the test metric that the paper reports, in points; else `measure` is a column as it is.

    Each unit of work is counted once; cells without a finished seed are left out. InputError where two units
    claim one seed of one cell, as where spaces of different protocols are laid together.
    """
    units: dict[Key, dict[int, tuple[str, float]]] = {}
    problems = []
    for row, value in zip(frame.to_dict("records"), _values(frame, measure), strict=True):
        seeds = units.setdefault(_key(*(row[name] for name in NAMES)), {})
        unit = seeds.setdefault(row["seed"], (row["digest"], value))
        if unit[0] != row["digest"]:
            problems.append(f"{_key(*(row[name] for name in NAMES))} seed {row['seed']}: two units have it")
    if problems:
        raise InputError(problems)
    return {key: _finished(seeds) for key, seeds in units.items() if any(v == v for _, v in seeds.values())}


def _values(frame: "pd.DataFrame", measure: str) -> list[float]:
    if measure != "score":
        return frame[measure].tolist() if measure in frame.columns else [math.nan] * len(frame)
    metrics = {name: METRICS[card(name).task] for name in frame["target"].unique()}
    columns = {name: (100 * frame[name]).tolist() for name in METRICS.values() if name in frame.columns}
    unknown = [math.nan] * len(frame)
    return [columns.get(metrics[name], unknown)[row] for row, name in enumerate(frame["target"])]


def _finished(seeds: dict[int, tuple[str, float]]) -> Score:
    return _score({seed: value for seed, (_, value) in seeds.items() if value == value}, len(seeds))


def _score(values: dict[int, float], planned: int) -> Score:
    numbers = list(values.values())
    return Score(mean(numbers), stdev(numbers) if len(numbers) > 1 else None, len(numbers), planned, values)


@cache
def _key(backbone: str, architecture: str, initialization: str, target: str, share: float) -> Key:
    trial = Trial("", initialization, None, backbone, architecture, target, share, 0)
    return (*published.key(trial), float(share))


def from_analysis(name: str, frame: "pd.DataFrame") -> Scores:
    """The cells of one analysis; InputError where one of its columns (ANALYSES) is missing.

    - svcca: `similarity` from 0 to 1 of a source's `layer` before and after pre-training.
    - gabor: `score` of each of a source's conv1 filters by its number.
    - cmd: the average distance between two datasets, either way round once or twice.
    """
    lacking = [column for column in ANALYSES[name] if column not in frame.columns]
    if lacking:
        raise InputError(f"{name}: no column {', '.join(lacking)}; {', '.join(ANALYSES[name])} are needed")
    return {"svcca": _svcca, "gabor": _gabor, "cmd": _cmd}[name](frame)


def _svcca(frame: "pd.DataFrame") -> Scores:
    rows = frame[["source", "layer", "similarity"]].itertuples(index=False)
    return {
        ("SVCCA", _label(source), str(layer), 1.0): Score(100 * value, None, 1, 1)
        for source, layer, value in rows
    }


def _gabor(frame: "pd.DataFrame") -> Scores:
    found = {}
    for source, group in frame.groupby("source", sort=False):
        values = dict(zip(group["filter"], 100 * group["score"].astype(float), strict=True))
        found["conv1", _label(source), "filters", 1.0] = _score(values, len(values))
    return found


def _cmd(frame: "pd.DataFrame") -> Scores:
    """Of each dataset, the distance to the nearest of its modality and to the nearest of another."""
    least: dict[Key, float] = {}
    pairs = frame[["a", "b", "cmd"]].itertuples(index=False)
    for a, b, value in ((*pair, d) for x, y, d in pairs if x != y for pair in ((x, y), (y, x))):
        which = SAME if _modality(a) == _modality(b) else OTHER
        key = ("cmd", which, published.TARGETS.get(a, a), 1.0)
        least[key] = min(value, least.get(key, value))
    return {key: Score(value, None, 1, 1) for key, value in least.items()}


def _modality(dataset: str) -> str:
    return card(dataset if dataset in (*CARDS, *OWN) else re.sub(r"-\d+k?$", "", dataset)).modality


def _label(source: Any) -> str:
    return published.INITIALIZATIONS.get(source, str(source))


def distances(scores: Scores, anchor: str) -> Scores:
    """Each cell's nearness to the anchor's mean, as a negative distance: higher is nearer."""
    found = {}
    for key, score in scores.items():
        reference = scores.get((key[0], anchor, *key[2:]))
        if reference is not None and key[1] != anchor:
            found[key] = Score(-abs(score.mean - reference.mean), None, score.n, score.planned)
    return found
