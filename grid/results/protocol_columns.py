"""The fields of the training protocol as columns of tables, where a space gives them several values."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from grid.results.cells import Cell, Row
from grid.space.protocols import PROTOCOL_FIELDS


def varied_fields(cells: Iterable[Cell]) -> list[str]:
    """Return the fields that differ between cells of one network and target."""
    found = {name for cell in cells for name in cell.varied}
    return [name for name in PROTOCOL_FIELDS if name in found]


def group_fields(cells: Iterable[Cell]) -> list[str]:
    """Return the same without fields that are selected: of these each cell of a group has its own value."""
    known = list(cells)
    selected = {name for cell in known for name in cell.selected}
    return [name for name in varied_fields(known) if name not in selected]


def field_values(cell: Cell, varied: Iterable[str]) -> Row:
    """Return the values of the `varied` fields; "" for a cell without a training protocol."""
    return {name: cell.fields.get(name, "") for name in varied}


def field_text(value: Any) -> str:
    """Write a value; a field without one has the default of the task."""
    return "default" if value is None else str(value)


def factors(cell: Cell, varied: Iterable[str]) -> Row:
    """Return the cell's key, its `varied` fields, `settings` (what differs beside them), and its metric."""
    settings = ", ".join(filter(None, (cell.other_settings, cell.source_settings)))
    return asdict(cell.key) | field_values(cell, varied) | {"settings": settings, "metric": cell.metric}
