"""Other test sets of a target, in its entry of `datasets`: external ones, corrupted copies, subgroups."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grid.space.factors import Factors
from grid.space.protocols import is_frozen
from grid.space.trials import Trial
from medpt.data.card import DatasetCard
from medpt.data.corruptions import KINDS
from medpt.yaml_document import KeyPath

KEYS = ("test_also", "corruptions", "subgroup")


def read_test_sets(
    card: DatasetCard, entry: Mapping[str, Any], path: KeyPath, factors: Factors, *, keeps: bool
) -> dict[str, Any]:
    """Return the values of KEYS for DatasetSettings; `factors` takes the problems.

    `card` is the target's, `entry` its sound values, `path` where the entry stands. `keeps` says whether the
    space keeps the weights of fine-tunings.
    """
    given = [key for key in KEYS if entry.get(key)]
    for key in given:
        if card.task == "survival":
            factors.problem((*path, key), f"`{key}` of {card.name}: slides have no other test sets")
        elif not keeps and key != "subgroup":
            text = f"`{key}` needs the weights of fine-tunings, and `keep` is none; remove one of them"
            factors.problem((*path, key), text)
    if entry.get("roi") and entry.get("test_also"):  # the crop of a tested image must not come from its mask
        text = f"`test_also` of {card.name}: not with `roi`, as external images are not cut by the detector"
        factors.problem((*path, "test_also"), text)
    kinds = entry.get("corruptions") or ()
    found = {"test_also": tuple(_external(card, entry, path, factors))}
    return found | {"corruptions": KINDS if kinds is True else tuple(dict.fromkeys(kinds))}


def _external(card: DatasetCard, entry: Mapping[str, Any], path: KeyPath, factors: Factors) -> Iterator[str]:
    for number, name in enumerate(entry.get("test_also") or ()):
        place = (*path, "test_also", number)
        other = factors.dataset(name, place) if name else None
        if other is None:
            continue
        if other.name == card.name:
            factors.problem(place, f"`{name}` is the target itself, whose own test set is always tested")
        for problem in unfit_classes(card, other):
            factors.problem(place, problem)
        yield other.name


def unfit_classes(target: DatasetCard, other: DatasetCard) -> Iterator[str]:
    """Yield why networks of the target cannot be tested on another dataset.

    Cards of datasets whose classes their files say have none; these are compared when the files are read.
    """
    if target.task != other.task:
        yield f"{other.name} has the task {other.task}, {target.name} {target.task}; accepted: the same task"
    elif target.classes and other.classes and set(target.classes) != set(other.classes):
        yield (
            f"{other.name} has the classes {', '.join(other.classes)}; {target.name} has "
            f"{', '.join(target.classes)}; accepted: the same names"
        )


def frozen_notes(trials: Iterable[Trial]) -> Iterator[str]:
    """Say which targets have other test sets that their frozen trials are not tested on."""
    entries = ((trial.target, trial.settings.of(trial.target)) for trial in trials if is_frozen(trial))
    for target in dict.fromkeys(name for name, entry in entries if entry.test_also or entry.corruptions):
        yield f"{target}: linear_probe and knn keep no network to test by `test_also` and `corruptions`"
