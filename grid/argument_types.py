"""Types of command-line arguments: text to a value, with one message for what is not accepted."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from grid.addresses import RAY_ADDRESSES, TRACKING_URIS, hide_passwords, is_ray_address, is_tracking_uri
from grid.store.backends import check_place, is_url
from medpt.arguments import argument, number, text_path
from medpt.errors import InputError

if TYPE_CHECKING:
    from grid.space.filters import Filters

GIB = 2**30
LONGEST_NAME = 200
LONGEST = 10**7  # seconds that processes can wait for
NUMBER = r"(\d+(?:\.\d+)?)"
PRICE = re.compile(r"(\d+(?:\.\d+)?)/gpu-hour")
DURATION = re.compile(f"(?:{NUMBER}h)?(?:{NUMBER}m)?(?:{NUMBER}s)?")


@argument
def folder(text: str) -> Path:
    """Return the absolute path of a folder that is there or can be made."""
    absolute = text_path(text).absolute()
    _refuse_files(absolute, "a folder")
    return absolute


@argument
def existing_folder(text: str) -> Path:
    absolute = folder(text)
    if not absolute.is_dir():
        raise InputError(f"{absolute}: no such folder")
    return absolute


@argument
def ray_address(text: str) -> str:
    if not is_ray_address(text):
        raise InputError(f"`{text}`: {RAY_ADDRESSES} is accepted")
    return text


@argument
def publisher(text: str) -> str:
    """Check the name of a person or a laboratory that results are published under."""
    if not (text.strip() and text.isprintable() and len(text) <= LONGEST_NAME):
        raise InputError(f"{text!r}: 1 to {LONGEST_NAME} printable characters are accepted")
    return text


def folder_or_url(text: str) -> str:
    check_place(text)
    if is_url(text):
        return text
    absolute = text_path(text).absolute()
    _refuse_files(absolute, "a folder or an address such as s3://bucket/runs")
    return str(absolute)


def _refuse_files(absolute: Path, accepted: str) -> None:
    for path in (absolute, *absolute.parents):
        if os.path.lexists(path) and not os.path.isdir(path):  # no name that is too long, refused later
            found = "a link that leads to no folder" if os.path.islink(path) else "a file"
            raise InputError(f"{path} is {found}; {accepted} is accepted")


@argument
def filters(text: str) -> "Filters":
    """Return the conditions of --filter; what knows the factors is imported then."""
    from grid.space.filters import parse_filters

    return parse_filters(text)


@argument
def tracking_uri(text: str) -> str:
    if not is_tracking_uri(text):
        raise InputError(f"`{hide_passwords(text)}`: {TRACKING_URIS} is accepted")
    return text


def gigabytes(text: str) -> int:
    return int(number(0, 1e9)(text) * GIB)


@argument
def price(text: str) -> float:
    """Return the price of an hour of one GPU that `2.50/gpu-hour` gives."""
    if not (found := PRICE.fullmatch(text.strip())):
        raise InputError(f"`{text}`: a price such as 2.50/gpu-hour is accepted")
    return float(found[1])


@argument
def duration(text: str) -> float:
    """Return the seconds of `2h`, `45m` or `1h30m`."""
    found = DURATION.fullmatch(text.strip())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    if not 0 < (total := 3600 * hours + 60 * minutes + seconds) <= LONGEST:
        raise InputError(f"`{text}`: a time such as 2h, 45m or 1h30m, up to {LONGEST}s, is accepted")
    return total
