"""One fault and what is known of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`kills` are kinds of the random campaign that belong here, `folders` its spaces, survived where none
    was left; `untried` says why there is no test."""

    fault: str
    injected: str
    expected: str
    tests: tuple[str, ...] = ()
    kills: tuple[str, ...] = ()
    folders: bool = False
    untried: str = ""
