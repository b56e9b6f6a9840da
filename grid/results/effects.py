"""Questions to a space's cells: what initializations gain, which is best, what more images of a source add.

All take the frame of grid.results.load and the name of a metric, and return a frame with one row an answer,
in points (per cent). Initializations are compared within a comparison group: one network, one target, one
share of it and one protocol. Seeds are paired, and every row says how many seeds it is made of. Intervals are
of repeated fine-tuning: a source has one pre-training, which its seeds share.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grid.results import statistics
from grid.results.cells import Cell, ComparisonGroup, Repeat, divide, find_cells
from grid.results.display import bracketed
from grid.space.trials import RANDOM
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GROUP = ComparisonGroup._fields[:-1]  # its protocol is named by `settings`, where two of them are there
FACTORS = (*GROUP, "experiment")  # what effects may be shown by
Row = dict[str, Any]


def effects(frame: "pd.DataFrame", metric: str, by: Sequence[str] = ("architecture",)) -> "pd.DataFrame":
    """Return what each initialization gains over random weights, for each combination of the factors `by`.

    `gain` is the mean over comparison groups of the mean over seeds of paired differences; [low, high] is its
    95 % interval for these groups (Satterthwaite), nan where a group has one seed. p is two-sided, `p_holm`
    corrected over all rows. `compared` counts the groups with both sides, `groups` all; `n` counts pairs of
    seeds, `planned` what the space asked for. Groups of several protocols are rows of their own.
    """
    import pandas as pd

    for key in by:
        if key not in FACTORS:
            raise InputError(f"--by {key}: no factor of effects; choose from {', '.join(FACTORS)}")
    rows = [
        names | row
        for experiment, part in divide(frame, [name for name in by if name == "experiment"])
        for names, groups in _by_factors(find_cells(part, metric), by, experiment)
        for row in _gains(groups)
    ]
    table = pd.DataFrame(_without_empty(rows, "settings"))
    if len(table):
        table["p_holm"] = statistics.holm(table["p"])
    return table


def _by_factors(
    cells: Iterable[Cell], by: Sequence[str], experiment: Row
) -> Iterator[tuple[Row, list[list[Cell]]]]:
    """Yield each combination of the factors, with its comparison groups."""
    found: dict[tuple[Any, ...], list[list[Cell]]] = {}
    for group in _groups(cells).values():
        factors = group[0].key.group._asdict() | experiment
        found.setdefault((*(factors[name] for name in by), group[0].settings), []).append(group)
    for names, groups in found.items():
        yield dict(zip((*by, "settings"), names, strict=True)), groups


def _groups(cells: Iterable[Cell]) -> dict[ComparisonGroup, list[Cell]]:
    found: dict[ComparisonGroup, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.key.group, []).append(cell)
    return found


def _without_empty(rows: list[Row], name: str) -> list[Row]:
    """Leave out a column that is empty in every row."""
    if any(row[name] for row in rows):
        return rows
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def _gains(groups: list[list[Cell]]) -> Iterator[Row]:
    named = [{cell.label: cell for cell in group} for group in groups]
    for name in dict.fromkeys(label for cells in named for label in cells if label != RANDOM):
        both = [(cells[name], cells.get(RANDOM)) for cells in named if name in cells]
        pairs = [found for cell, random in both if random and (found := paired_differences(cell, random))]
        gain = statistics.mean_of_means(pairs)
        yield {
            "initialization": name,
            "gain": gain.estimate,
            "low": gain.low,
            "high": gain.high,
            "p": statistics.mean_of_means_test(pairs).p,
            "compared": len(pairs),
            "groups": len(groups),
            "n": sum(map(len, pairs)),
            "planned": sum(cell.planned for cell, _ in both),
        }


def paired_differences(first: Cell, second: Cell) -> list[float]:
    """Return the differences of the repeats that both cells have finished."""
    common = [repeat for repeat in first.values if repeat in second.values]
    return [first.values[repeat] - second.values[repeat] for repeat in common]


def best(frame: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """Return the initialization with the highest mean in each comparison group, and how probable that is.

    `probability` is its share of paired bootstrap resamples of the seeds that all candidates have (`n` of
    `planned`); `margin` is its lead over the second, with Student's 95 % interval of paired differences.
    Candidates without a finished seed are counted in `waiting`. nan where there is nothing to compare.
    """
    import pandas as pd

    rows = [
        _factors(group) | {"settings": cells[0].settings} | _best(cells)
        for group, cells in _groups(find_cells(frame, metric)).items()
    ]
    return pd.DataFrame(_without_empty(rows, "settings"))


def _factors(group: ComparisonGroup) -> Row:
    return {name: getattr(group, name) for name in GROUP}


def _best(cells: Sequence[Cell]) -> Row:
    finished = {cell.label: cell.values for cell in cells if cell.n}
    common = sorted(set.intersection(*map(set, finished.values()))) if finished else []
    planned, waiting = max(cell.planned for cell in cells), len(cells) - len(finished)
    unknown = dict.fromkeys(("mean", "probability", "margin", "low", "high"), math.nan)
    row = {"best": None, "second": None} | unknown | _winner(finished, common)
    return row | {"n": len(common), "planned": planned, "waiting": waiting}


def _winner(finished: Mapping[str, Mapping[Repeat, float]], common: Sequence[Repeat]) -> Row:
    if not common:
        return {}
    scores = {name: [values[repeat] for repeat in common] for name, values in finished.items()}
    means = {name: sum(row) / len(row) for name, row in scores.items()}
    first, *rest = sorted(means, key=lambda name: -means[name])
    row = {"best": first, "mean": means[first]}
    if not rest:
        return row
    shares = dict(zip(scores, statistics.probability_of_best(list(scores.values())), strict=True))
    pairs = zip(scores[first], scores[rest[0]], strict=True)
    margin = statistics.mean_interval([mine - theirs for mine, theirs in pairs])
    lead = {"margin": margin.estimate, "low": margin.low, "high": margin.high}
    return row | {"probability": shares[first], "second": rest[0]} | lead


def sample_size(frame: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """Return what a doubling of a source's images adds, for sources of at least two sizes in a group.

    The slope of the means over seeds on log2 of the size, with its 95 % interval: each size is one
    pre-training, so sizes are the repeats, not seeds; nan below three. Sources taken whole have no size.
    """
    import pandas as pd

    found: dict[tuple[str, ComparisonGroup], list[Cell]] = {}
    for cell in find_cells(frame, metric):
        if cell.key.sample_size:
            source = bracketed(cell.key.source, cell.source_settings)
            found.setdefault((source, cell.key.group), []).append(cell)
    rows = [
        {"source": source} | _factors(group) | {"settings": cells[0].settings} | row
        for (source, group), cells in found.items()
        if (row := _slope(cells))
    ]
    return pd.DataFrame(_without_empty(rows, "settings"))


def _slope(cells: Sequence[Cell]) -> Row:
    means = {cell.key.sample_size or 0: cell.mean for cell in cells if cell.n}
    if len(means) < 2:
        return {}
    sizes = sorted(means)
    found = statistics.slope([math.log2(size) for size in sizes], [means[size] for size in sizes])
    counts = {"n": sum(cell.n for cell in cells), "planned": sum(cell.planned for cell in cells)}
    limits = {"per_doubling": found.estimate, "low": found.low, "high": found.high}
    span = {"smallest": sizes[0], "largest": sizes[-1], "sizes": len(sizes)}
    return limits | span | counts
