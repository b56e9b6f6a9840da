"""Results on one other test set than the targets' own, as a frame that all tables and comparisons take."""

from typing import TYPE_CHECKING

from grid.results.frame import FIRST, LAST
from grid.results.test_set_columns import AT, STATUS
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

KEPT = (*FIRST, *LAST, "selected", "compared_protocol")  # of a trial, whatever it is tested on


def other_test_sets(frame: "pd.DataFrame") -> list[str]:
    """Return the names of the other test sets of a frame, in the order of its columns."""
    return [name.partition(AT)[2] for name in frame.columns if name.startswith(STATUS + AT)]


def on_test_set(frame: "pd.DataFrame", name: str) -> "pd.DataFrame":
    """Return the frame of one other test set: its trials, with status, metrics and items of that test.

    `frame` is one of grid.results.load. Tables say behind a target what its networks were tested on. Raises
    InputError for a test set that no trial has.
    """
    if name not in (known := other_test_sets(frame)):
        none = "the space names none; docs/test-sets.md: test_also, corruptions, subgroup"
        accepted = did_you_mean(name, known) if known else none
        raise InputError(f"--test-set {name}: no trial is tested on it; {accepted}")
    rows = frame[frame[f"{STATUS}{AT}{name}"].notna()]
    own = {column: column.removesuffix(AT + name) for column in frame.columns if column.endswith(AT + name)}
    kept = [column for column in frame.columns if column in KEPT and column not in own.values()]
    found = rows[[*kept, *own]].rename(columns=own)
    notes: dict[str, str] = frame.attrs.get("notes", {})
    where = dict.fromkeys(dict.fromkeys(rows["target"]), f"tested on {name}")
    where = {target: "; ".join(filter(None, (notes.get(target), text))) for target, text in where.items()}
    found.attrs = dict(frame.attrs) | {"notes": notes | where, "controls": [], "probes": []}
    return found
