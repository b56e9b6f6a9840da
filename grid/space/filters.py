"""Which trials of a space to run: the conditions of --filter and the number of --limit."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from grid.space.factors import FACTORS
from grid.space.protocols import PROTOCOL_FIELDS, protocol_fields, protocol_values
from grid.space.trials import Space, Trial
from medpt.errors import InputError, did_you_mean
from medpt.yaml_document import read_scalar

KEYS = (*FACTORS, "fold", *PROTOCOL_FIELDS)
Filters = Mapping[str, tuple[str, ...]]  # accepted values by factor


def parse_filters(text: str) -> Filters:
    """Return the conditions of `target=DRIVE,seed=0,seed=1`: all factors must match, with any of their
    values. Raises InputError for an unknown factor.
    """
    filters: dict[str, tuple[str, ...]] = {}
    problems = []
    for condition in text.split(","):
        key, equals, value = map(str.strip, condition.partition("="))
        if not equals or key not in KEYS:
            problems.append(f"`{condition}`")
        filters[key] = (*filters.get(key, ()), value)
    if problems:
        raise InputError(f"{', '.join(problems)}: use key=value with a key of {', '.join(KEYS)}")
    return filters


def select_trials(space: Space, filters: Filters, limit: int | None) -> Space:
    """Return the space with the first `limit` trials that match `filters`, and without its analyses.

    Without filters and limit the space stays as it is. Raises InputError where no trial is left, and for a
    value that no trial has, also beside others.
    """
    if not filters and limit is None:
        return space
    trials = tuple(trial for trial in space.trials if matches(trial, filters))[:limit]
    unknown = list(_unknown_values(space, filters))
    if not trials:
        unknown.insert(0, f"--filter leaves none of the {len(space.trials)} trials of `{space.name}`")
    if unknown:
        raise InputError(unknown)
    return replace(space, trials=trials, analyses=(), selection=_describe(filters, limit))


def _unknown_values(space: Space, filters: Filters) -> Iterator[str]:
    """Name values that no trial of the space has, with those that are meant perhaps."""
    trials = [_values(trial, filters) for trial in space.trials]
    for key, values in filters.items():
        known = {str(trial[key]): trial[key] for trial in trials}
        for text in values:
            if not any(is_written(value, text) for value in known.values()):
                yield f"--filter {key}={text}: no trial has it; {did_you_mean(text, known)}"


def _describe(filters: Filters, limit: int | None) -> str:
    """Return the options that select: `--filter target=DRIVE,seed=0 --limit 4`."""
    conditions = ",".join(f"{key}={value}" for key, values in filters.items() for value in values)
    options = {"--filter": conditions, "--limit": limit}
    return " ".join(f"{option} {value}" for option, value in options.items() if value)


def matches(trial: Trial, filters: Filters) -> bool:
    """Whether each filtered factor of the trial has one of the accepted values."""
    values = _values(trial, filters)
    return all(any(is_written(values[key], text) for text in accepted) for key, accepted in filters.items())


def _values(trial: Trial, filters: Filters) -> dict[str, Any]:
    """Return the factors of a trial, with the fields of its protocol where a filter has one of them."""
    values = trial.to_json()
    fields = protocol_fields(protocol_values(trial)) if filters.keys() - values.keys() else {}
    return values | fields


def is_written(value: Any, text: str) -> bool:
    """Whether `text` is the value, or a number that equals it: 1e-3 is 0.001."""
    read = read_scalar(text)  # `true` equals 1 in Python
    same = isinstance(read, bool) == isinstance(value, bool) and bool(read == value)
    return str(value) == text or (isinstance(value, int | float) and same)
