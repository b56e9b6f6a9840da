"""Documents of a store as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SpaceRecord:
    """What was run under the name of a space: spaces/<name>.json.

    `path` names the space's file; it is "" in a store of version 0.3.1. `plans` are the names of documents
    in plans/, the latest last.
    """

    name: str
    path: str
    plans: tuple[str, ...]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SpaceRecord":
        return cls(values["name"], values["path"], tuple(values["plans"]))
