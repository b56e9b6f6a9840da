"""Documents of a store as data: markers of finished units, failures, and records of spaces."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from medpt.errors import InputError
from medpt.files import json_bytes, parse_json

Cause = Literal["diverged", "data", "memory", "infrastructure", "error"]  # "error": a fault of the code
CHECKSUM = "checksum"  # the key of a marker's SHA-256 of its other keys
NUMBERS = (int, float)
TYPES: dict[str, Any] = {
    "attempt": int,
    "started": NUMBERS,
    "ended": NUMBERS,
    "label": str,
    "peak": dict,
    "artifacts": dict,
}
UNREADABLE = "the record of the failure is damaged"


class DamagedError(InputError):
    """A document of a store that cannot be read, or does not match its checksum or its name."""


@dataclass(frozen=True)
class Origin:
    """Where a unit comes from that another laboratory computed and `grid.pull` took over.

    `withheld` names the artifacts that were not published, such as images and weights. `is_recomputed`: the
    unit was computed here too, with the same result.
    """

    publisher: str
    batch: str  # the name of what was published together
    withheld: tuple[str, ...] = ()
    is_recomputed: bool = False


@dataclass(frozen=True)
class Marker:
    """The result of a finished unit: done/<digest>.json.

    `artifacts` gives the SHA-256 of each artifact; `files` gives bytes and time of the last change (ns) of
    every file of the unit. `peak` has the memory that it took and what computed it: the type of the CPU, the
    GPU and, of a training, the settings of its steps (medpt.tasks.base.StepSettings). `is_verified` tells
    whether the document had a checksum, which it then matched. `origin` is None of a unit that was computed
    here.
    Markers of version 0.3.1 have neither `files` nor a checksum.
    """

    digest: str
    kind: str
    spec: Mapping[str, Any]
    needs: tuple[str, ...]
    label: str
    version: int
    metrics: Mapping[str, float]
    host: str
    attempt: int
    started: float  # seconds since 1970
    ended: float
    peak: Mapping[str, Any] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    origin: Origin | None = None
    is_verified: bool = field(default=True, compare=False)

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    def content(self) -> bytes:
        """Return the document, with its checksum."""
        values = asdict(self)
        del values["is_verified"]
        if self.origin is None:
            del values["origin"]
        return json_bytes(values | {CHECKSUM: _checksum(values)})

    @classmethod
    def read(cls, content: bytes, digest: str) -> "Marker":
        """Return the marker of a unit from its document. Raises DamagedError if the document is damaged."""
        try:
            values = parse_json(content)
            checksum = values.pop(CHECKSUM, None)
            if checksum is not None and not _matches(content, values, checksum):
                raise DamagedError("it does not match its checksum")
            if checksum is None and values.get("files"):
                raise DamagedError("its checksum is missing")
            return cls._from_json(values, digest, is_verified=checksum is not None)
        except DamagedError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DamagedError("it is cut off or was overwritten") from None

    @classmethod
    def _from_json(cls, values: Mapping[str, Any], digest: str, *, is_verified: bool) -> "Marker":
        if values["digest"] != digest:
            raise DamagedError("it is the marker of another unit")
        if not all(type(value) in NUMBERS for value in values["metrics"].values()):
            raise DamagedError("its metrics are no numbers")
        if wrong := [name for name in TYPES.keys() & values if not isinstance(values[name], TYPES[name])]:
            raise DamagedError(f"{', '.join(sorted(wrong))} has a value of another type")
        known = {entry.name: values[entry.name] for entry in fields(cls) if entry.name in values}
        states = {name: (int(size), int(time)) for name, (size, time) in values.get("files", {}).items()}
        changed = {"needs": tuple(values["needs"]), "files": states, "is_verified": is_verified}
        if given := values.get("origin"):
            changed["origin"] = Origin(**{**given, "withheld": tuple(given["withheld"])})
        return cls(**known | changed)


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_bytes(values)).hexdigest()


def _matches(content: bytes, values: Mapping[str, Any], checksum: str) -> bool:
    """Whether `values`, or the document as it was written but the line of its checksum, have this checksum.

    The second is known without writing the values again, which takes longer than all else of reading them.
    """
    written = content.replace(f'\n "{CHECKSUM}": "{checksum}",'.encode(), b"", 1)
    return hashlib.sha256(written).hexdigest() == checksum or _checksum(values) == checksum


@dataclass(frozen=True)
class Failure:
    """Why a unit failed: failed/<digest>.json. `log` is relative to the store; None if there is none."""

    cause: Cause
    reason: str
    log: str | None
    time: float  # seconds since 1970

    @classmethod
    def read(cls, content: bytes) -> "Failure":
        """Return the failure of a document; of a damaged one, an "error" that says so."""
        try:
            values = parse_json(content)
            log = values["log"] and "/".join(values["log"].split("/")[-2:])  # version 0.3.1: absolute
            return cls(values["cause"], str(values["reason"]), log, float(values["time"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls("error", UNREADABLE, None, 0.0)


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
    def read(cls, content: bytes) -> "SpaceRecord":
        """Return the record of a document. Raises DamagedError if the document is damaged."""
        try:
            values = parse_json(content)
            return cls(values["name"], values["path"], tuple(map(str, values["plans"])))
        except (ValueError, KeyError, TypeError):
            raise DamagedError("it is cut off or was overwritten") from None
