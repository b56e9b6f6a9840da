"""The cells that claims are judged on, by the paper's names: from trials, from analyses, or as printed.

Scores are in points (per cent); steps and cmd as they are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from grid.claims import published
from grid.results.cells import Cell, CellKey, find_cells
from medpt.data.catalog import card, is_built_in
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

Key = tuple[str, str, str, float]  # model, initialization, target, share of the target


@dataclass(frozen=True)
class Score:
    """`values` by repeat (of filters: by number), empty where only a summary is known; std has ddof 1."""

    mean: float
    std: float | None
    n: int
    planned: int
    values: Mapping[Any, float] = field(default_factory=dict)


Scores = dict[Key, Score]


def printed() -> Scores:
    """Every cell of the paper's tables 2, 3, 5 and 6."""
    return {(*key, 1.0): Score(m, std, REPEATS, REPEATS) for key, (_, m, std) in published.cells().items()}


def from_trials(frame: "pd.DataFrame", measure: str) -> Scores:
    """Return the cells with a finished repeat, by the paper's names.

    `score` takes the headline metric of each task, in points; any other `measure` is a column as it is.
    Raises InputError where cells of two protocols have one name, as of spaces that were laid together.
    """
    if measure != "score" and (measure not in frame.columns or frame[measure].isna().all()):
        return {}
    named: dict[Key, list[Cell]] = {}
    for cell in find_cells(frame, None if measure == "score" else measure):
        named.setdefault(_key(cell.key), []).append(cell)
    problems = [_ambiguous(key, cells) for key, cells in named.items() if len(cells) > 1]
    if problems:
        raise InputError(problems)
    return {key: _score_of(cell) for key, (cell,) in named.items() if cell.n}


def _key(key: CellKey) -> Key:
    return *published.key_of_cell(key), float(key.target_size)


def _ambiguous(key: Key, cells: Sequence[Cell]) -> str:
    model, initialization, target, _ = key
    settings = "; ".join(cell.differences for cell in cells)
    return f"{model} · {initialization} → {target}: {len(cells)} cells under several protocols ({settings})"


def _score_of(cell: Cell) -> Score:
    return Score(cell.mean, cell.std if cell.n > 1 else None, cell.n, cell.planned, cell.values)


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
        spread = stdev(values.values()) if len(values) > 1 else None
        score = Score(mean(values.values()), spread, len(values), len(values), values)
        found["conv1", _label(source), "filters", 1.0] = score
    return found


def _cmd(frame: "pd.DataFrame") -> Scores:
    """Of each dataset, the distance to the nearest of its modality and to the nearest of another."""
    least: dict[Key, float] = {}
    measured = frame[frame["a"].map(_modality).astype(bool) & frame["b"].map(_modality).astype(bool)]
    pairs = measured[["a", "b", "cmd"]].itertuples(index=False)
    for a, b, value in ((*pair, d) for x, y, d in pairs if x != y for pair in ((x, y), (y, x))):
        which = SAME if _modality(a) == _modality(b) else OTHER
        key = ("cmd", which, published.TARGETS.get(a, a), 1.0)
        least[key] = min(value, least.get(key, value))
    return {key: Score(value, None, 1, 1) for key, value in least.items()}


def _modality(dataset: str) -> str:
    """ "" of a user's dataset, on which the paper claims nothing."""
    name = dataset if is_built_in(dataset) else re.sub(r"-\d+k?$", "", dataset)
    return card(name).modality if is_built_in(name) else ""


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
