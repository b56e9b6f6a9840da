"""The base of all specifications: a frozen dataclass whose hash names the result of a unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

from medpt.identity import digest, to_json
from medpt.normalisation import Normalisation
from medpt.protocol import TrainingProtocol

SPECS: "dict[str, type[UnitSpec]]" = {}  # the class of each kind, in the order of their definition


@dataclass(frozen=True)
class UnitSpec:
    """One kind of unit: its fields determine the result, its class variables describe the kind.

    A unit that prepares data is run by Ray Data; every other one by `run` of `medpt.units.<kind>`.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    title: ClassVar[str]  # of its row in the table of --dry-run
    verb: ClassVar[str]  # of the progress line, such as "fine-tuning"
    makes_data: ClassVar[bool] = False
    typical_seconds: ClassVar[float] = 0.0  # on a published dataset, within a factor of ten; 0 if it trains
    networks_kept: ClassVar[int] = 0  # copies of the network among a finished unit's artifacts
    omitted_when_none: ClassVar[tuple[str, ...]] = ()  # fields that are younger than stored results

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        SPECS[cls.kind] = cls

    def inputs(self) -> tuple[str, ...]:
        """Return the digests of what must be finished first: `data` and `weights`, of kinds that have them.

        Some may name nothing that is planned: published weights, and what is only used where it is planned.
        """
        named = (getattr(self, name, None) for name in ("data", "weights"))
        return tuple(digest for digest in named if digest)

    @cached_property
    def digest(self) -> str:
        """The 64 hexadecimal digits that name the result under today's version of the kind."""
        return digest({"kind": self.kind, "version": self.version, "spec": self.to_json()})

    def to_json(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build a specification from what `to_json` and JSON made of one."""
        parsed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if "protocol" in parsed:
            parsed["protocol"] = TrainingProtocol.from_json(parsed["protocol"])
        if "normalisation" in parsed:
            parsed["normalisation"] = Normalisation.from_json(parsed["normalisation"])
        return cls(**parsed)
