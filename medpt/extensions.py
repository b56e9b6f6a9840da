"""Networks and methods of other packages, found by the entry points that an installed distribution declares.

Promises: names and versions are read from the distributions' metadata, so that no code of theirs runs before
`load`; a name means one thing, whatever its case, or is refused. Not promised: that code changes with its
version. Whoever changes an extension raises the version of its distribution, or old results count as new.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from typing import Any

from medpt.errors import InputError, did_you_mean

GROUPS = {"backbone": "medpt.backbones", "architecture": "medpt.architectures", "method": "medpt.methods"}


def names(what: str, built_in: Iterable[str]) -> tuple[str, ...]:
    """The names of a kind of GROUPS: built-in ones first, then those of the extensions by alphabet.

    InputError names each extension that is called like another one or like a built-in.
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
    """The function of an extension; its package is imported now. InputError where there is none to call."""
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
    """Of the kinds and names that are `used`, the extensions: {"backbone mine": "my-nets 0.1"}.

    InputError where a distribution gives no version: results could not be told apart by it.
    """
    found = {}
    for what, name in used.items():
        for point in _registered(what).get(name.lower(), ())[:1]:
            found[f"{what} {name}"] = source(point)
    return found


def require(wanted: Mapping[str, str]) -> None:
    """InputError where the extensions here are not those of a specification's `extensions`."""
    problems = []
    for key, version in wanted.items():
        what, _, name = key.partition(" ")
        here = versions(**{what: name}).get(key, "nothing")
        if here != version:
            problems.append(f"{key}: {version} is planned, {here} is installed on this machine")
    if problems:
        raise InputError(problems)


def described(what: str, name: str) -> str:
    """For messages: the kind, the name, and for an extension its entry point and its distribution."""
    points = _registered(what).get(name.lower())
    where = f" ({points[0].value} of {source(points[0])})" if points else ""
    return f"{what} {name!r}{where}"


def source(point: metadata.EntryPoint) -> str:
    """The distribution that declares an entry point, and its version."""
    name = version = None
    if point.dist is not None:
        known = point.dist.metadata  # which has no `get` in Python 3.11
        name, version = (known[key] if key in known else None for key in ("Name", "Version"))  # noqa: SIM401
    if not name or not version:
        raise InputError(f"entry point {point.name!r} of {point.group}: its distribution gives no version")
    return f"{name} {version}"


def _registered(what: str) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    return _scan(GROUPS[what], tuple(sys.path))


@lru_cache(maxsize=32)
def _scan(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    """By name in lower case; `path` is what importlib searches, and so what the answer depends on."""
    found: dict[str, tuple[metadata.EntryPoint, ...]] = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: (point.name, point.value)):
        key = point.name.lower()
        found[key] = (*found.get(key, ()), point)
    return found
