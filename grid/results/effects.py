"""Questions to a space's cells: what initializations gain, which is best, what more images of a source add.

All take the cells of a frame, whatever is shown of them, and return a frame with one row an answer, in
points (per cent). Initializations are compared within a comparison group: one network, one target, one
share of it and one protocol. Intervals have every source of variance that was repeated
(grid.results.intervals).
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from grid.results import verdicts
from grid.results.cells import Cell, CellKey, ComparisonGroup, Row
from grid.results.display import bracketed
from grid.results.groups import ComparedGroup, ComparedGroups, compared_groups
from grid.results.intervals import Estimates, estimate
from grid.results.protocol_columns import field_values, group_fields
from grid.space.trials import RANDOM
from medpt.errors import InputError, did_you_mean
from medpt.grouping import grouped

if TYPE_CHECKING:
    import pandas as pd

GROUP = ComparisonGroup._fields[:-1]  # its protocol is named by its fields that differ, and `settings`
Shown = Collection[CellKey] | None  # the cells to answer for; None: all


def effects(
    cells: Sequence[Cell], by: Sequence[str] = ("architecture",), shown: Shown = None
) -> "pd.DataFrame":
    """Return what each initialization gains over random weights, for each combination of the factors `by`.

    `gain` is the mean over comparison groups, each weighing the same; [low, high] is its 95 % interval for
    these groups, nan where the variance of one of them is unknown. p is two-sided, `p_holm` corrected over
    all rows. [new_low, new_high] is where a new target is expected, from three targets on. `compared` counts
    the groups with both sides, `groups` all; `n` counts the finished runs of the initialization, `planned`
    what the space asked for.
    """
    import pandas as pd

    if unknown := [key for key in by if key not in GROUP]:
        raise InputError(f"--by {key}: no factor of effects; {did_you_mean(key, GROUP)}" for key in unknown)
    compared = compared_groups(cells)
    rows = [
        names | row
        for names, groups in _by_factors(_groups(cells), by, group_fields(cells))
        for row in _gains(groups, compared, shown)
    ]
    table = pd.DataFrame(_without_empty(rows, "settings"))
    if len(table):
        table["p_holm"] = verdicts.holm(table["p"])
    return table


Groups = dict[ComparisonGroup, list[Cell]]


def _groups(cells: Iterable[Cell]) -> Groups:
    return grouped(cells, lambda cell: cell.key.group)


def _by_factors(
    groups: Groups, by: Sequence[str], varied: Sequence[str]
) -> Iterator[tuple[Row, list[list[Cell]]]]:
    """Yield each combination of the factors, with the cells of each of its comparison groups."""
    found: dict[tuple[Any, ...], list[list[Cell]]] = {}
    columns = (*by, *varied, "settings", "metric")
    for group in groups.values():
        row = _factors(group[0], varied)
        found.setdefault(tuple(row[name] for name in columns), []).append(group)
    for names, members in found.items():
        yield dict(zip(columns, names, strict=True)), members


def _without_empty(rows: list[Row], name: str) -> list[Row]:
    """Leave out a column that is empty in every row."""
    if any(row[name] for row in rows):
        return rows
    return [{key: value for key, value in row.items() if key != name} for row in rows]


def _gains(groups: list[list[Cell]], compared: ComparedGroups, shown: Shown) -> Iterator[Row]:
    named = [{cell.label: cell for cell in group} for group in groups]
    for name in dict.fromkeys(label for cells in named for label in cells if label != RANDOM):
        own = [cells[name] for cells in named if name in cells]
        if shown is not None and not any(cell.key in shown for cell in own):
            continue
        pairs = [(cells[name], cells[RANDOM]) for cells in named if name in cells and RANDOM in cells]
        both = [(cell, random) for cell, random in pairs if cell.n and random.n]
        yield (
            {"initialization": name}
            | _gain(both, compared)
            | {
                "compared": len(both),
                "groups": len(groups),
                "n": sum(cell.n for cell in own),
                "planned": sum(cell.planned for cell in own),
            }
        )


Pair = tuple[Cell, Cell]


def _gain(pairs: Sequence[Pair], compared: ComparedGroups) -> Row:
    names = ("gain", "low", "high", "p", "new_low", "new_high")
    if not pairs:
        return dict.fromkeys(names, math.nan)
    found = mean_difference(pairs, compared)
    low, high = found.limits()
    by_target = grouped(pairs, lambda pair: pair[0].key.target)
    each = [mean_difference(members, compared) for members in by_target.values()]
    new = verdicts.over_targets([float(e.value[0]) for e in each], [float(e.variance[0]) for e in each])
    numbers = (found.value[0], low[0], high[0], verdicts.two_sided(found)[0], new.new_low, new.new_high)
    return dict(zip(names, map(float, numbers), strict=True))


def mean_difference(pairs: Sequence[Pair], compared: ComparedGroups) -> Estimates:
    """Estimate the mean over pairs of cells of the first less the second."""
    parts = []
    for first, second in pairs:
        group = compared[first.key.group]
        terms = (first.key, 1 / len(pairs)), (second.key, -1 / len(pairs))
        parts.append((group.group, group.weights(*terms)))
    return estimate(parts)


def best(cells: Sequence[Cell], shown: Shown = None) -> "pd.DataFrame":
    """Return the initializations of each comparison group that cannot be distinguished from its best one.

    `best` names them, the highest mean first: it contains the best with a probability of at least 95 %.
    `margin` is how far the highest mean is above the second highest, [low, high] its 95 % interval. `n` and
    `planned` are of the highest; candidates without a finished seed are counted in `waiting`.
    """
    import pandas as pd

    compared, varied = compared_groups(cells), group_fields(cells)
    rows = [
        _factors(members[0], varied) | _best(members, compared.get(key))
        for key, members in _groups(cells).items()
        if shown is None or any(cell.key in shown for cell in members)
    ]
    return pd.DataFrame(_without_empty(rows, "settings"))


def _factors(cell: Cell, varied: Sequence[str]) -> Row:
    names: Row = {name: getattr(cell.key, name) for name in GROUP} | field_values(cell, varied)
    return names | {"settings": cell.other_settings, "metric": cell.metric}


def _best(cells: Sequence[Cell], compared: ComparedGroup | None) -> Row:
    row: Row = {"best": None, "second": None} | dict.fromkeys(("mean", "margin", "low", "high"), math.nan)
    if compared is None:
        planned = max(cell.planned for cell in cells)
        return row | {"n": 0, "planned": planned, "waiting": len(cells)}
    ordered = sorted(compared.cells, key=lambda cell: -cell.mean)
    kept = verdicts.set_of_the_best(compared.group, len(ordered))
    names = [cell.label for cell in ordered if compared.places[cell.key] in kept]
    row |= {"best": ", ".join(names), "mean": ordered[0].mean}
    if len(ordered) > 1:
        found = compared.estimate(compared.weights((ordered[0].key, 1), (ordered[1].key, -1)))
        (low, high), margin = found.limits(), found.value
        row |= {"second": ordered[1].label, "margin": margin[0], "low": low[0], "high": high[0]}
    counts = {"n": ordered[0].n, "planned": ordered[0].planned}
    return row | counts | {"waiting": len(cells) - len(ordered)}


def sample_size(cells: Sequence[Cell], shown: Shown = None) -> "pd.DataFrame":
    """Return what a doubling of a source's images adds, for sources of at least two sizes in a group.

    The slope of the cells' means on log2 of the size, with its 95 % interval for these weights: another
    pre-training of a size may give another slope. Sources taken whole have no size.
    """
    import pandas as pd

    sized = [cell for cell in cells if cell.key.sample_size and (shown is None or cell.key in shown)]
    found = grouped(sized, lambda c: (bracketed(c.key.source, c.source_settings), c.key.group))
    compared, varied = compared_groups(cells), group_fields(cells)
    rows = [
        {"source": source} | _factors(members[0], varied) | row
        for (source, group), members in found.items()
        if (row := _slope(members, compared.get(group)))
    ]
    return pd.DataFrame(_without_empty(rows, "settings"))


def _slope(cells: Sequence[Cell], compared: ComparedGroup | None) -> Row:
    finished = [cell for cell in cells if cell.n]
    doublings = [math.log2(cell.key.sample_size or 1) for cell in finished]
    if compared is None or len(set(doublings)) < 2:
        return {}
    middle = sum(doublings) / len(doublings)
    squares = sum((x - middle) ** 2 for x in doublings)
    terms = [(cell.key, (x - middle) / squares) for cell, x in zip(finished, doublings, strict=True)]
    found = compared.estimate(compared.weights(*terms))
    low, high = found.limits()
    sizes = sorted(cell.key.sample_size or 0 for cell in finished)
    return {
        "per_doubling": float(found.value[0]),
        "low": float(low[0]),
        "high": float(high[0]),
        "smallest": sizes[0],
        "largest": sizes[-1],
        "sizes": len(set(sizes)),
        "n": sum(cell.n for cell in finished),
        "planned": sum(cell.planned for cell in cells),
    }
