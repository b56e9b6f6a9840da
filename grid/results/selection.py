"""The value of a protocol's field that a space selects for each cell, by the validation set alone.

Of trials that differ in selected fields, those of the value with the best mean validation score remain. They
are compared under the protocol without these fields, so that each initialization has the value that suits it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from statistics import mean
from typing import Any

from grid.space.protocols import Values, describe_difference, protocol_fields, protocol_hash, without_fields

Row = Mapping[str, Any]  # of the frame: one trial
FACTORS = ("initialization", "backbone", "architecture", "target", "target_size", "source_protocol")


@dataclass(frozen=True)
class Selection:
    """Which trials remain, under which protocol each is compared, and what was selected in words."""

    kept: list[bool]
    compared: list[str]
    protocols: Mapping[str, Values]
    notes: list[str]


def select(rows: Sequence[Row], names: Sequence[str], protocols: Mapping[str, Values]) -> Selection:
    """Choose a value of the fields `names` for each cell of the trials `rows`.

    The score of a value is the mean over pre-trainings and splits of the mean over seeds of `val_METRIC`, of
    the trial's headline metric. A value of which a trial is not finished is chosen only where every value
    lacks one; of equal scores the first in the space is. Test scores are not read.
    """
    common = {name: without_fields(values, names) for name, values in protocols.items()}
    hashes = {name: protocol_hash(values) for name, values in common.items()}
    compared = [hashes.get(row["protocol"]) or str(row["protocol"]) for row in rows]
    keys = [(*(row[name] for name in FACTORS), hashed) for row, hashed in zip(rows, compared, strict=True)]
    groups: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for key, row in zip(keys, rows, strict=True):
        groups.setdefault(key, {}).setdefault(row["protocol"], []).append(row)
    chosen = {key: max(found, key=lambda name: _rank(found[name])) for key, found in groups.items()}
    shared = {hashes[name]: values for name, values in common.items()}
    others = describe_difference(shared, compared)
    return Selection(
        kept=[chosen[key] == row["protocol"] for key, row in zip(keys, rows, strict=True)],
        compared=compared,
        protocols=shared,
        notes=[
            f"{_cell(key, others[key[-1]])}: {_note(found, chosen[key], names, protocols)}"
            for key, found in groups.items()
            if len(found) > 1
        ],
    )


def _rank(rows: Sequence[Row]) -> tuple[bool, float]:
    value = score(rows)
    return _complete(rows), -inf if isnan(value) else value


def _complete(rows: Sequence[Row]) -> bool:
    return all(not isnan(_validation(row)) for row in rows)


def score(rows: Sequence[Row]) -> float:
    """Return the mean validation score of the finished ones of a cell's trials; nan without one."""
    units = {row["digest"]: row for row in rows}
    found: dict[tuple[Any, Any], list[float]] = {}
    for row in units.values():
        if not isnan(value := _validation(row)):
            found.setdefault((row["pretrain_seed"], row["fold"]), []).append(value)
    return mean(map(mean, found.values())) if found else nan


def _validation(row: Row) -> float:
    value = row.get(f"val_{row['headline']}")
    return nan if value is None or row["status"] != "finished" else float(value)


def _cell(key: tuple[Any, ...], others: str) -> str:
    """Name a cell, with that in which its protocol differs from others beside the selected fields."""
    initialization, backbone, architecture, target, target_size, *_ = key
    share = f" {target_size:.0%}" if target_size < 1 else ""
    network = f"{architecture}/{backbone}" + (f" [{others}]" if others else "")
    return f"{initialization} → {target}{share}, {network}"


def _note(
    found: Mapping[str, Sequence[Row]], chosen: str, names: Sequence[str], protocols: Mapping[str, Values]
) -> str:
    row, value = found[chosen][0], score(found[chosen])
    texts = {name: _text(protocols[name], names) for name in found}
    if isnan(value):
        return f"nothing is selected of {', '.join(texts.values())}; no trial is validated yet"
    reason = f"by a mean validation {row['headline']} of {value:.4f}, of {', '.join(texts.values())}"
    waiting = [texts[name] for name, rows in found.items() if not _complete(rows)]
    lacking = f"; not all trials of {', '.join(waiting)} are finished" if waiting else ""
    return f"{texts[chosen]} is selected {reason}{lacking}"


def _text(values: Values, names: Sequence[str]) -> str:
    fields = protocol_fields(values)
    return " ".join(f"{name} {fields[name]}" for name in names)
