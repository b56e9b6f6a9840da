"""The cells that claims are judged on, by the paper's names: from trials, from analyses, or as printed.

Scores are in points (per cent); steps and cmd as they are.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grid.claims import published
from grid.claims.pretrainings import RepeatedPretrainings, complete_table
from grid.results.cells import Cell, CellKey, find_cells
from grid.results.groups import compared_groups
from grid.results.intervals import Estimates, estimate
from grid.results.variance import Floats, Group, printed_group
from medpt.data.catalog import card, is_built_in
from medpt.errors import InputError
from medpt.grouping import grouped
from medpt.survival.split import TEST_FRACTION

if TYPE_CHECKING:
    import pandas as pd

REPEATS = 3  # paper, section 2.1
SURVIVAL_TABLES = ("table5", "table6")
SPLIT_RATIO = TEST_FRACTION / (1 - TEST_FRACTION)
PRETRAIN_SEED = "pretrain_seed"
SAME, OTHER = "same modality", "another modality"
ANALYSES = {  # the columns of each analysis
    "svcca": ("source", "layer", "similarity"),
    "gabor": ("source", "filter", "score", "control"),
    "cmd": ("a", "b", "cmd"),
}

Key = tuple[str, str, str, float]  # model, initialization, target, share of the target
Term = tuple[Key, float]  # of a contrast: a cell and its weight
Repeated = Mapping[Key, Mapping[int, float]]  # the value of each pre-training, by its seed


@dataclass(frozen=True)
class Score:
    """The mean and spread (ddof 1) of a cell over its `n` finished repeats."""

    mean: float
    std: float | None
    n: int
    planned: int


class Position(NamedTuple):
    """Where a cell stands in its comparison group of so many `cells`."""

    group: Group
    number: int
    cells: int


@dataclass(frozen=True)
class Scores:
    """Cells by the paper's names.

    `positions` has those of cells whose contrasts can be estimated, `distances` the modality distances of all
    pairs of datasets, `repeated` the values of cells that vary with the pre-training alone, by its seed.
    """

    cells: Mapping[Key, Score] = field(default_factory=dict)
    positions: Mapping[Key, Position] = field(default_factory=dict)
    distances: Mapping[tuple[str, str], float] = field(default_factory=dict)
    repeated: Repeated = field(default_factory=dict)

    def estimate(self, contrasts: Sequence[Sequence[Term]]) -> Estimates:
        """Estimate weighted sums of cells; a cell of several terms enters with the sum of its weights."""
        rows: dict[int, tuple[Group, Floats]] = {}
        for row, terms in enumerate(contrasts):
            for key, weight in terms:
                group, number, cells = self.positions[key]
                new = (group, np.zeros((len(contrasts), cells)))
                rows.setdefault(id(group), new)[1][row, number] += weight
        return estimate(list(rows.values()))


def printed() -> Scores:
    """Every cell of the paper's tables 2, 3, 5 and 6; a group is what one table has of a model and target."""
    rows = {(*key, 1.0): value for key, value in published.cells().items()}
    groups = grouped(rows, lambda key: (rows[key][0], key[0], key[2]))
    positions: dict[Key, Position] = {}
    for (table, _, _), keys in groups.items():
        means, stds = (np.array([rows[key][column] for key in keys], float) for column in (1, 2))
        group = printed_group(means, stds, REPEATS, SPLIT_RATIO if table in SURVIVAL_TABLES else 0.0)
        positions |= {key: Position(group, number, len(keys)) for number, key in enumerate(keys)}
    return Scores({key: Score(m, std, REPEATS, REPEATS) for key, (_, m, std) in rows.items()}, positions)


def from_trials(frame: "pd.DataFrame", measure: str) -> Scores:
    """Return the cells with a finished repeat, by the paper's names.

    `score` takes the headline metric of each task, in points; any other `measure` is a column as it is.
    Raises InputError where cells of two protocols have one name, as of spaces that were laid together.
    """
    if measure != "score" and (measure not in frame.columns or frame[measure].isna().all()):
        return Scores()
    found = find_cells(frame, None if measure == "score" else measure)
    named = grouped(found, lambda cell: _key(cell.key))
    problems = [_ambiguous(key, cells) for key, cells in named.items() if len(cells) > 1]
    if problems:
        raise InputError(problems)
    positions = {
        _key(cell.key): Position(compared.group, number, len(compared.cells))
        for compared in compared_groups(found).values()
        for number, cell in enumerate(compared.cells)
    }
    return Scores({key: _score_of(cell) for key, (cell,) in named.items() if cell.n}, positions)


def _key(key: CellKey) -> Key:
    return *published.key_of_cell(key), float(key.target_size)


def _ambiguous(key: Key, cells: Sequence[Cell]) -> str:
    model, initialization, target, _ = key
    settings = "; ".join(cell.differences for cell in cells)
    return f"{model} · {initialization} → {target}: {len(cells)} cells under several protocols ({settings})"


def _score_of(cell: Cell) -> Score:
    return Score(cell.mean, cell.std if cell.n > 1 else None, cell.n, cell.planned)


def from_analysis(name: str, frame: "pd.DataFrame") -> Scores:
    """The cells of one analysis; InputError where one of its columns (ANALYSES) is missing.

    - svcca: `similarity` from 0 to 1 of a source's `layer` before and after pre-training.
    - gabor: `score` of each of a source's conv1 filters by its number, 1 for a Gabor, and of the source the
      share of scrambled filters that count as one, `control`. A cell is the share less the control.
      Of svcca and gabor a column `pretrain_seed` tells the pre-trainings of a source apart.
    - cmd: the average distance between two datasets, either way round once or twice.
    """
    lacking = [column for column in ANALYSES[name] if column not in frame.columns]
    if lacking:
        raise InputError(f"{name}: no column {', '.join(lacking)}; {', '.join(ANALYSES[name])} are needed")
    if name != "cmd":
        numbered = frame if PRETRAIN_SEED in frame.columns else frame.assign(**{PRETRAIN_SEED: 0})
        return from_pretrainings({"svcca": _svcca, "gabor": _gabor}[name](numbered))
    measured = frame[frame["a"].map(modality).astype(bool) & frame["b"].map(modality).astype(bool)]
    pairs = measured[["a", "b", "cmd"]].itertuples(index=False)
    both = {pair: float(d) for x, y, d in pairs if x != y for pair in ((x, y), (y, x))}
    return Scores(_nearest(both), distances=both)


def _svcca(frame: "pd.DataFrame") -> Repeated:
    rows = frame[["source", "layer", PRETRAIN_SEED, "similarity"]].itertuples(index=False)
    return _repeated(
        ("SVCCA", (source, str(layer), seed, 100 * value)) for source, layer, seed, value in rows
    )


def _gabor(frame: "pd.DataFrame") -> Repeated:
    networks = frame.groupby(["source", PRETRAIN_SEED], sort=False)
    found = networks.agg(score=("score", "mean"), control=("control", "first")).reset_index()
    rows = found[["source", PRETRAIN_SEED, "score", "control"]].itertuples(index=False)
    return _repeated(
        ("conv1", (source, "filters", seed, 100 * (score - control))) for source, seed, score, control in rows
    )


def _repeated(rows: Iterable[tuple[str, tuple[str, str, int, float]]]) -> Repeated:
    """Return values by cell and seed; InputError where results of two protocols have one name."""
    found: dict[Key, dict[int, float]] = {}
    problems = []
    for model, (source, place, seed, value) in rows:
        known = found.setdefault((model, _label(source), place, 1.0), {})
        if known.setdefault(int(seed), float(value)) != value and np.isfinite(value):
            problems.append(f"{model} of {source}, {place}: two values of pre-training {seed}")
    if problems:
        raise InputError([f"{text}; results of several protocols are not mixed" for text in problems])
    return found


def from_pretrainings(values: Repeated) -> Scores:
    """Return cells from the value of each of their pre-trainings, in points.

    A pre-training that lacks a finite value of one of its model's targets (layers) is left out.
    """
    cells: dict[Key, Score] = {}
    positions: dict[Key, Position] = {}
    for model in dict.fromkeys(key[0] for key in values):
        own = {key: each for key, each in values.items() if key[0] == model}
        layers = list(dict.fromkeys(key[2] for key in own))
        sources = dict.fromkeys(key[1] for key in own)
        tables = {
            s: complete_table({k[2]: each for k, each in own.items() if k[1] == s}, layers) for s in sources
        }
        tables = {source: table for source, table in tables.items() if len(table)}
        group = RepeatedPretrainings(list(tables.values()))
        keys = [(model, source, layer, 1.0) for source in tables for layer in layers]
        columns = [column for table in tables.values() for column in table.T]
        cells |= {key: _score_over(column) for key, column in zip(keys, columns, strict=True)}
        positions |= {key: Position(group, number, len(keys)) for number, key in enumerate(keys)}
    return Scores(cells, positions, repeated=values)


def _score_over(values: Floats) -> Score:
    spread = float(values.std(ddof=1)) if len(values) > 1 else None
    return Score(float(values.mean()), spread, len(values), len(values))


def _nearest(distances: Mapping[tuple[str, str], float]) -> dict[Key, Score]:
    """Return each dataset's distance to the nearest of its modality and to the nearest of another."""
    least: dict[Key, float] = {}
    for (a, b), value in distances.items():
        which = SAME if modality(a) == modality(b) else OTHER
        key = ("cmd", which, published.TARGETS.get(a, a), 1.0)
        least[key] = min(value, least.get(key, value))
    return {key: Score(value, None, 1, 1) for key, value in least.items()}


def modality(dataset: str) -> str:
    """ "" of a user's dataset, on which the paper claims nothing."""
    name = dataset if is_built_in(dataset) else re.sub(r"-\d+k?$", "", dataset)
    return card(name).modality if is_built_in(name) else ""


def _label(source: Any) -> str:
    return published.INITIALIZATIONS.get(source, str(source))


def nearness(known: Scores, anchor: str) -> Scores:
    """Return how near each pre-training is to the anchor's mean, as a negative distance.

    A cell is the mean over its pre-trainings. The anchor is one network, as published, without a variance.
    """
    found: dict[Key, dict[int, float]] = {}
    for key, values in known.repeated.items():
        reference = known.cells.get((key[0], anchor, *key[2:]))
        if reference is not None and key[1] != anchor:
            found[key] = {seed: -abs(value - reference.mean) for seed, value in values.items()}
    return from_pretrainings(found)
