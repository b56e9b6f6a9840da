"""How the names of a foreign file become those of an encoder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from medpt.errors import InputError


@dataclass(frozen=True)
class KeyMapping:
    """What changes names, in this order.

    Names without the prefix `strip` are excluded, and the others lose it. Those that begin with an entry of
    `drop` are excluded. The longest entry of `rename` that a name begins with is replaced. `match` is name or
    order: with order, tensors are paired in their order. `channels` is 1 for a first layer that takes grey
    images.
    """

    strip: str = ""
    drop: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    match: str = "name"
    channels: int = 3

    def renamed(self, names: Iterable[str]) -> dict[str, str]:
        """Return the file's name of each new name, of those that are kept, in their order.

        Raises InputError if two names become one.
        """
        found: dict[str, str] = {}
        for name in names:
            rest = name.removeprefix(self.strip)
            if not name.startswith(self.strip) or rest.startswith(self.drop):
                continue
            new = modern_name(self._replaced(rest))
            if new in found:
                raise InputError(f"both {found[new]} and {name} become {new}; change `rename`")
            found[new] = name
        return found

    def _replaced(self, name: str) -> str:
        old = max((key for key in self.rename if name.startswith(key)), key=len, default="")
        return self.rename[old] + name.removeprefix(old) if old else name


def modern_name(name: str) -> str:
    """Rename `denselayer1.norm.1` of DenseNet's published file to the network's `denselayer1.norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)
