"""Mappings that make a foreign file fit an encoder: a prefix to strip, numbered layers, or the order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medpt.errors import InputError
from medpt.models.key_mapping import KeyMapping, modern_name
from medpt.models.weights import COUNTER

if TYPE_CHECKING:
    from torch import Tensor

MOST = 3  # proposals
LEAST = 0.5  # of the encoder's tensors must match
PREFERRED = ("teacher", "encoder_q", "ema")  # of several copies of a network, the one that is used as a rule
BATCH_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
NUMBERED = re.compile(r"((?:.*?\.)?)(\d+)\.")  # the prefix and the number of a layer in `nn.Sequential`


@dataclass(frozen=True)
class Proposal:
    """A mapping, and how many of an encoder's tensors it finds, counters that the file lacks left out."""

    mapping: KeyMapping
    matched: int
    total: int

    @property
    def text(self) -> str:
        """What to write, in words: "strip `module.encoder.`, drop `fc.`: 120 of 120 match"."""
        mapping = self.mapping
        parts = [f"strip `{mapping.strip}`"] if mapping.strip else []
        if mapping.rename:
            parts.append(f"rename {', '.join(f'`{old}` to `{new}`' for old, new in mapping.rename.items())}")
        if mapping.drop:
            parts.append(f"drop {', '.join(f'`{name}`' for name in mapping.drop)}")
        if mapping.match == "order":
            parts.append("`match: order`")
        if mapping.channels == 1:
            parts.append("`channels: 1`")
        return f"{', '.join(parts) or 'no mapping'}: {self.matched} of {self.total} match"


def propose(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[Proposal]:
    """Return the mappings that fit best, at most three; none if not even half of the encoder would match.

    `expected` are the encoder's tensors without `encoder.`. Names are tried as they are, without each prefix
    that they suggest, with layers that have numbers (as in `nn.Sequential`), and last in their order.
    """
    found: list[Proposal] = []
    for mapping in [*_by_prefix(expected, tensors), *_by_number(expected, tensors)]:
        if all(mapping != known.mapping for known in found):
            found.append(_judged(mapping, expected, tensors))
    if max((proposal.matched / proposal.total for proposal in found), default=0) < LEAST:
        found = list(_by_order(expected, tensors))
    best = max((proposal.matched for proposal in found), default=0)
    return sorted((proposal for proposal in found if proposal.matched == best), key=_rank)[:MOST]


def is_swapped(new: str, old: str) -> bool:
    """Whether the last words of two paired names say that one is, say, a mean and the other a variance."""
    kinds = {new.rpartition(".")[2], old.rpartition(".")[2]}
    return len(kinds) == 2 and kinds <= BATCH_NORM


def _rank(proposal: Proposal) -> tuple[bool, int]:
    strip = proposal.mapping.strip
    return not any(word in strip for word in PREFERRED), len(strip)


def _by_prefix(expected: Mapping[str, Tensor], tensors: Iterable[str]) -> Iterator[KeyMapping]:
    """A mapping for each prefix that stands in the file before the encoder's first, middle or last name."""
    names = list(expected)
    prefixes: dict[str, None] = {"": None}
    for wanted in (names[0], names[len(names) // 2], names[-1]):
        for name in map(modern_name, tensors):
            if name.endswith(wanted):
                prefixes[name.removesuffix(wanted)] = None
    yield from map(KeyMapping, prefixes)


def _by_number(expected: Mapping[str, Tensor], tensors: Iterable[str]) -> Iterator[KeyMapping]:
    """Mappings for layers that have numbers: the first number is the encoder's first layer, and so on."""
    layers = list(dict.fromkeys(_layer(name) for name in expected))
    numbers: dict[str, set[int]] = {}
    for name in tensors:
        if match := NUMBERED.match(name):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    for prefix, found in numbers.items():
        if len(found) >= len(layers):
            rename = {f"{old}.": f"{new}." for old, new in zip(sorted(found), layers, strict=False)}
            yield KeyMapping(prefix, rename=rename)


def _judged(mapping: KeyMapping, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Proposal:
    """Count what a mapping finds, and let it drop what does not belong to the encoder."""
    try:
        names = mapping.renamed(tensors)
    except InputError:
        return Proposal(mapping, 0, len(expected))
    shapes = {new: tuple(tensors[old].shape) for new, old in names.items()}
    matched = [new for new in expected if new in names and _alike(shapes[new], tuple(expected[new].shape))]
    grey = any(shapes[new] != tuple(expected[new].shape) for new in matched)
    drop = _to_drop((name for name in names if name not in expected), expected)
    has_counters = any(name.endswith(COUNTER) for name in names)
    return Proposal(
        replace(mapping, drop=drop, channels=1 if grey else 3),
        len(matched),
        sum(1 for name in expected if has_counters or not name.endswith(COUNTER)),
    )


def _alike(given: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether two shapes are equal, or differ in that a first layer takes grey images."""
    grey = (expected[0], 1, *expected[2:]) if len(expected) == 4 and expected[1] == 3 else expected
    return given in (expected, grey)


def _layer(name: str) -> str:
    return name.partition(".")[0]


def _by_order(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Iterator[Proposal]:
    """Mappings that pair all of the encoder's tensors with the file's first ones, under some prefix."""
    prefixes = {name[: n + 1] for name in tensors for n in range(len(name)) if name[n] == "."}
    for prefix in sorted({"", *prefixes}, key=len):
        names = [name for name in tensors if name.startswith(prefix)]
        for wanted in (list(expected), [name for name in expected if not name.endswith(COUNTER)]):
            if _paired(wanted, names, expected, tensors):
                inner = [name.removeprefix(prefix) for name in names]
                drop = _to_drop(inner[len(wanted) :], inner[: len(wanted)])
                yield Proposal(KeyMapping(prefix, drop, match="order"), len(wanted), len(wanted))
                break


def _paired(
    wanted: Sequence[str], names: Sequence[str], expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> bool:
    """Whether the first of `names` have the shapes of `wanted`, and are not of another kind."""
    return len(names) >= len(wanted) and all(
        expected[new].shape == tensors[old].shape and not is_swapped(new, old)
        for new, old in zip(wanted, names, strict=False)
    )


def _to_drop(names: Iterable[str], kept: Iterable[str]) -> tuple[str, ...]:
    """Return what `drop` needs to leave out `names`: whole layers, where none of their tensors is kept."""
    layers = {_layer(name) for name in kept}
    return tuple(
        dict.fromkeys(
            f"{_layer(name)}." if "." in name and _layer(name) not in layers else name for name in names
        )
    )
