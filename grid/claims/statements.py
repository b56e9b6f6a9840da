"""What the paper claims and where it errs, as data: reports/claims.yaml and reports/errata.yaml, read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from grid.claims import published

FOLDER = published.FOLDER.parent
CLAIMS, ERRATA = FOLDER / "claims.yaml", FOLDER / "errata.yaml"


@dataclass(frozen=True)
class Block:
    """Comparisons over models × targets × shares × sizes, of each `upper` with each `lower`.

    Of `best_upper` and `best_lower` the best stands for all.
    """

    source: str  # the table or figure of the paper
    models: tuple[str, ...]
    targets: tuple[str, ...] | Literal["all"]
    upper: tuple[str, ...] = ()
    best_upper: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    best_lower: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ("",)
    shares: tuple[float, ...] = (1.0,)

    @property
    def is_printed(self) -> bool:
        return self.source.startswith("table")


@dataclass(frozen=True)
class Part:
    cells: tuple[Block, ...]
    statement: str = ""
    measure: str = "score"
    rule: str = "order"
    nearer_to: str = ""


@dataclass(frozen=True)
class Claim:
    id: str
    section: str
    statement: str
    parts: tuple[Part, ...]
    note: str = ""


@dataclass(frozen=True)
class Erratum:
    """A known error of the paper: what is wrong, where, and what follows for a reproduction."""

    id: int
    what: str
    where: str
    consequence: str


def load(path: Path = CLAIMS) -> list[Claim]:
    return [Claim(**plain | {"parts": tuple(map(_part_from, plain["parts"]))}) for plain in _yaml(path)]


def errata() -> list[Erratum]:
    return [Erratum(**plain) for plain in _yaml(ERRATA)]


def _part_from(plain: dict[str, Any]) -> Part:
    return Part(**plain | {"cells": tuple(map(_block, plain["cells"]))})


def _block(plain: dict[str, Any]) -> Block:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    return Block(source=values.pop("from"), **values)


def _yaml(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))
