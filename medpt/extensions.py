"""Extensions: networks and methods of other packages, found by the entry points of installed distributions.

Names and versions are read from the distributions' metadata, so none of their code runs before `load`. Names
are unique, ignoring case, or refused. Changed code is recognized by its version only: raise the version of
the distribution when an extension changes, otherwise old results count as results of the new code.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from medpt.errors import InputError, did_you_mean

TIMM = "timm/"  # begins the names of timm's networks, which are backbones without an entry point
TIMM_NAME = re.compile(r"timm/[a-z0-9][A-Za-z0-9_.]{1,99}")
GROUPS = {"backbone": "medpt.backbones", "architecture": "medpt.architectures", "method": "medpt.methods"}


def names(what: str, built_in: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a kind of GROUPS: built-in ones first, then those of extensions, sorted.

    Raises InputError with each extension that has the name of another one or of a built-in.
    """
    found, own = _registered(what), {name.lower(): name for name in built_in}
    problems = []
    for points in found.values():
        sources = [source(point) for point in points]
        if points[0].name.lower() in own:
            sources.insert(0, "medpt itself")
        if len(sources) > 1:
            problems.append(f"{what} {points[0].name!r} is given by {' and by '.join(sources)}; rename one")
    if problems:
        raise InputError(problems)
    return (*own.values(), *sorted(points[0].name for points in found.values()))


def load(what: str, name: str, built_in: Iterable[str]) -> Callable[..., Any]:
    """Import an extension's package and return its function; InputError if there is none to call."""
    known = names(what, built_in)
    if name not in known:
        raise InputError(f"{what}: no {name!r}; {did_you_mean(name, known)}")
    point = _registered(what)[name.lower()][0]
    try:
        function = point.load()
    except Exception as error:  # whatever a foreign module does when it is imported
        reason = " ".join(str(error).split())
        raise InputError(
            f"{described(what, name)} does not load: {type(error).__name__}: {reason}"
        ) from error
    if not callable(function):
        raise InputError(f"{described(what, name)} is {type(function).__name__}; a function is accepted")
    return function


def versions(**used: str) -> dict[str, str]:
    """Return the extensions among the kinds and names that are `used`: {"backbone mine": "my-nets 0.1"}.

    Raises InputError if a distribution has no version, since results are distinguished by it.
    """
    found = {}
    for what, name in used.items():
        if what == "backbone" and TIMM_NAME.fullmatch(name):
            found[f"{what} {name}"] = _timm_version(name)
        for point in _registered(what).get(name.lower(), ())[:1]:
            found[f"{what} {name}"] = source(point)
    return found


def _timm_version(name: str) -> str:
    try:
        return f"timm {metadata.version('timm')}"
    except metadata.PackageNotFoundError as error:
        raise InputError(f"backbone: {name} needs the package timm; install medpt-grid[timm]") from error


def require(wanted: Mapping[str, str]) -> None:
    """Raise InputError unless the installed extensions are those of a specification's `extensions`."""
    problems = []
    for key, version in wanted.items():
        what, _, name = key.partition(" ")
        here = versions(**{what: name}).get(key, "nothing")
        if here != version:
            problems.append(f"{key}: {version} is planned, {here} is installed on this machine")
    if problems:
        raise InputError(problems)


def described(what: str, name: str) -> str:
    """Return, for messages, the kind, the name, and an extension's entry point and distribution."""
    points = _registered(what).get(name.lower())
    where = f" ({points[0].value} of {source(points[0])})" if points else ""
    return f"{what} {name!r}{where}"


def source(point: metadata.EntryPoint) -> str:
    """Return the distribution that declares an entry point, and its version; InputError without them."""
    name = version = None
    if point.dist is not None:
        known = point.dist.metadata  # which has no `get` in Python 3.11
        name, version = (known[key] if key in known else None for key in ("Name", "Version"))  # noqa: SIM401
    if not name or not version:
        raise InputError(f"entry point {point.name!r} of {point.group}: its distribution has no version")
    return f"{name} {version}"


def _registered(what: str) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    return _scan(GROUPS[what], tuple(sys.path))


@lru_cache(maxsize=32)
def _scan(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    """Return entry points by name in lower case; they depend on `path`, which importlib searches."""
    found: dict[str, tuple[metadata.EntryPoint, ...]] = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: (point.name, point.value)):
        key = point.name.lower()
        found[key] = (*found.get(key, ()), point)
    return found
