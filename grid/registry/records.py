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
from typing import Annotated, Literal, TypeVar

from annotated_types import Interval, Len, Predicate
from pydantic import StringConstraints, TypeAdapter, ValidationError

from medpt.errors import InputError
from medpt.files import json_bytes
from medpt.schema import strict_dataclass

Record = TypeVar("Record")
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Len(0, 1000), Predicate(str.isprintable)]
Seconds = Annotated[float, Interval(ge=0, lt=1e11)]  # also since 1970: the calendar ends at 2.5e11
STRICT = {"strict": True, "extra": "forbid"}


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

    @property
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
    peak: Mapping[Text, int | float | Text]
    artifacts: Mapping[Text, Sha256]
    withheld: tuple[Text, ...]

    def content(self) -> bytes:
        return json_bytes(asdict(self))


def read(kind: type[Record], content: bytes) -> Record:
    """Return the record of a document. Raises InputError if it is none; unknown fields are refused."""
    try:
        return TypeAdapter(kind).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise InputError(f"is no {kind.__name__} of a registry ({where}: {first['msg']})") from None


def batch_name(sha256: str) -> str:
    """Return the name of a batch's document in a registry."""
    return f"batches/{sha256}.json"


def unit_name(digest: str, sha256: str) -> str:
    """Return the name of a unit's document in a registry."""
    return f"units/{digest}-{sha256}.json"


def file_name(sha256: str) -> str:
    """Return the name of an artifact in a registry."""
    return f"files/{sha256}"
