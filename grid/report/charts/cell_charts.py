"""The paper's figures redrawn from our cells: rows of initializations, lines over sizes and shares."""

from collections.abc import Callable, Iterable, Sequence

from grid.report.charts import panels, strokes
from grid.report.charts.strokes import Chart, Level, Line, Series
from grid.results.cells import Cell
from grid.results.display import METRIC_NAMES, bracketed, column_name, format_cell
from grid.space.trials import RANDOM


def by_target(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """Finished cells by (target, network)."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.n:
            found.setdefault((cell.key.target, cell.network), []).append(cell)
    return found


def _short(cell: Cell) -> bool:
    return cell.n < cell.planned


def _named(cell: Cell) -> str:
    return cell.label + (f" ({cell.n} of {cell.planned})" if _short(cell) else "")


def by_source(cells: Sequence[Cell]) -> dict[str, int]:
    """A plain colour a source, whatever its size: dashes are for levels here."""
    sources = panels.colours(cell.key.source for cell in cells)
    free = (n for n in range(1, len(sources) + panels.COLOURS) if n not in sources.values())
    plain = {name: n if n <= panels.COLOURS else next(free) for name, n in sources.items()}
    return {cell.label: plain[cell.key.source] for cell in cells}


def _as_rows(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: each initialization's seeds and mean, random weights marked through all."""
    return [_rows_of(group, numbers) for group in by_target(cells).values()]


def _rows_of(group: list[Cell], numbers: dict[str, int]) -> Chart:
    random = next((cell.mean for cell in group if cell.key.initialization == RANDOM), None)
    entries = [
        Line(
            _named(cell),
            numbers[cell.label],
            cell.mean,
            cell.std,
            tuple(cell.values.values()),
            f"{cell.label}: {format_cell(cell)}",
            _short(cell),
        )
        for cell in group
    ]
    return strokes.rows(column_name(*group[0].column), _metric(group[0]), entries, random, "")


def _metric(cell: Cell) -> str:
    return f"{cell.network} · {METRIC_NAMES[cell.metric]}, %"


def _over_sizes(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: means over the number of the source's images, what has none as a level."""
    return [_sizes_of(group, numbers) for group in by_target(cells).values()]


def _sizes_of(group: list[Cell], numbers: dict[str, int]) -> Chart:
    whole = [cell for cell in group if not cell.key.sample_size]
    levels = [Level(cell.label, numbers[cell.label], cell.mean) for cell in whole]
    sized = [cell for cell in group if cell.key.sample_size]
    series = [
        _series(name, numbers, [cell for cell in sized if _source(cell) == name], _images)
        for name in dict.fromkeys(map(_source, sized))
    ]
    note = "; ".join([_metric(group[0]), *(_named(cell) for cell in whole if _short(cell))])
    at = [(size, panels.label(size)) for size in sorted(set(map(_images, sized)))]
    return strokes.lines(
        group[0].key.target, note, series, levels, strokes.Axis("images of the source", at, logarithmic=True)
    )


def _over_shares(cells: Sequence[Cell], numbers: dict[str, int]) -> list[Chart]:
    """A chart a target: means over the share of its training part that is fine-tuned on."""
    return [_shares_of(group, numbers) for group in by_target(cells).values()]


def _shares_of(group: list[Cell], numbers: dict[str, int]) -> Chart:
    series = [
        _series(name, numbers, [cell for cell in group if cell.label == name], _share)
        for name in dict.fromkeys(cell.label for cell in group)
    ]
    at = [(share, f"{share:g}") for share in sorted(set(map(_share, group)))]
    note, x_name = _metric(group[0]), "% of the target's training part"
    return strokes.lines(group[0].key.target, note, series, [], strokes.Axis(x_name, at))


def _source(cell: Cell) -> str:
    return bracketed(cell.key.source, cell.source_settings)


def _images(cell: Cell) -> float:
    return float(cell.key.sample_size or 0)


def _share(cell: Cell) -> float:
    return 100 * cell.key.target_size


def _series(name: str, numbers: dict[str, int], members: list[Cell], x: Callable[[Cell], float]) -> Series:
    points = (
        (x(cell), cell.mean, cell.std, f"{cell.label}: {format_cell(cell)}", _short(cell))
        for cell in sorted(members, key=x)
    )
    return Series(name, numbers[members[0].label], tuple(points))


DRAWINGS = {"rows": _as_rows, "sizes": _over_sizes, "shares": _over_shares}
