"""A registry of finished units as documents, in a folder or a bucket.

    batches/<sha256>.json             what one laboratory published together
    units/<digest>-<sha256>.json      one unit of a batch, without its specification
    files/<sha256>                    an artifact

Every name contains the SHA-256 of its content, from the batch down to each file. So a registry never changes
what it has, and a change that somebody else makes is found. It has no specifications, which may name columns
and folders of a user's data: whoever pulls has them in the plan.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from math import inf
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval, Predicate
from pydantic import Field, StringConstraints

from medpt.errors import InputError
from medpt.files import json_bytes, parse_json
from medpt.schema import strict_dataclass, validate

Record = TypeVar("Record")
LONGEST = 1000
LARGEST = 2**26  # bytes of a document
NAMES = ("cpu", "device_name", "step")  # in a marker's peak; all else are amounts


def _is_text(text: str) -> bool:
    return not text.isspace() and 1 <= len(text) <= LONGEST and text.isprintable()


def _is_peak(peak: Mapping[str, Any]) -> bool:
    """Whether names are texts and amounts are above 0, and the memory of a GPU comes with what was used."""
    amounts = {name: value for name, value in peak.items() if name not in NAMES}
    return (
        all(isinstance(peak[name], str) for name in NAMES if name in peak)
        and all(not isinstance(value, str) and 0 < value < inf for value in amounts.values())
        and ("device" in peak) == ("device_size" in peak)
    )


Sha256 = Annotated[
    str, StringConstraints(pattern="^[0-9a-f]{64}$"), Field(description="a SHA-256 of 64 hexadecimal digits")
]
Text = Annotated[str, Predicate(_is_text), Field(description=f"text of 1 to {LONGEST} printable characters")]
Seconds = Annotated[float, Interval(ge=0, lt=1e11), Field(description="seconds from 0")]
Peak = Annotated[
    Mapping[Text, int | float | Text],
    Predicate(_is_peak),
    Field(description=f"texts of {', '.join(NAMES)}, and amounts above 0 of memory and devices"),
]


@strict_dataclass
class SharedDataset:
    """A dataset that the units of a batch were computed from: whose it is, and a hash of all of its files."""

    name: Text
    licence: Text
    terms: Text  # the publisher's page, and the citation that it asks for
    content: Sha256


@strict_dataclass
class Batch:
    """What one laboratory published together.

    `datasets` are by fingerprint; `units` has the SHA-256 of each unit's document by its digest; `versions`
    are those of the installation that published.
    """

    publisher: Text
    space: Text
    created: Seconds  # since 1970
    versions: Mapping[Text, Text]
    datasets: Mapping[Sha256, SharedDataset]
    units: Mapping[Sha256, Sha256]
    format: Literal[1] = 1

    def content(self) -> bytes:
        return json_bytes(asdict(self))

    @cached_property
    def name(self) -> str:
        """The SHA-256 that names the batch."""
        return hashlib.sha256(self.content()).hexdigest()


@strict_dataclass
class SharedUnit:
    """A finished unit as it is published.

    `artifacts` has the SHA-256 of each artifact that was published; `withheld` names the others. `peak` is
    that of its marker: the hardware, and the memory that the unit took.
    """

    digest: Sha256
    kind: Text
    version: int
    label: Text
    metrics: Mapping[Text, float]
    seconds: Seconds
    peak: Peak
    artifacts: Mapping[Text, Sha256]
    withheld: tuple[Text, ...]

    def content(self) -> bytes:
        return json_bytes(asdict(self))


def read(kind: type[Record], content: bytes) -> Record:
    """Return the record of a document. Raises InputError if it is none; unknown fields are refused."""
    try:
        record, problems = validate(kind, parse_json(content))
    except ValueError:
        raise InputError("is no JSON") from None
    if record is None:
        path, text = problems[0]
        where = ".".join(map(str, path[:-1]))
        raise InputError(f"is no {kind.__name__} of a registry: {where}{': ' if where else ''}{text}")
    return record


def batch_name(sha256: str) -> str:
    """Return the name of a batch's document in a registry."""
    return f"batches/{sha256}.json"


def unit_name(digest: str, sha256: str) -> str:
    """Return the name of a unit's document in a registry."""
    return f"units/{digest}-{sha256}.json"


def file_name(sha256: str) -> str:
    """Return the name of an artifact in a registry."""
    return f"files/{sha256}"
