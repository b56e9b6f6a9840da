"""Names from content: canonical JSON, digests, and seeds of random streams."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any


def to_json(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, those of nested dataclasses as mappings.

    Fields that the class names in `omitted_when_none` are excluded while they are None: a result keeps its
    name when a field is added whose None is what was done before.
    """
    omitted = getattr(record, "omitted_when_none", ())
    values = {name: getattr(record, name) for name in _field_names(record.__class__)}
    return {
        name: to_json(value) if _field_names(value.__class__) else value
        for name, value in values.items()
        if value is not None or name not in omitted
    }


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    """Of a dataclass; a plan asks for those of each value of each of its units."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def digest(value: Any) -> str:
    """Return the SHA-256 of the value's canonical JSON: 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """One text for one value: keys sorted, no spaces, tuples as lists, 1e-4 as 0.0001 and 1.0 as 1."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int):  # most values, and `Mapping` is slow to ask
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def stream_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one named use of randomness; adding a use never changes the draws of another."""
    return int(digest([seed, *names])[:16], 16) >> 1
