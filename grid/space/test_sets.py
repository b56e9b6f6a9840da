"""Other test sets of a target, in its entry of `datasets`: external ones, corrupted copies, subgroups."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grid.space.factors import Factors
from grid.space.protocols import is_frozen
from grid.space.trials import Space, Trial
from medpt.data.card import DatasetCard, plain
from medpt.data.corruptions import KINDS
from medpt.yaml_document import KeyPath, Problem

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
        for problem in test_set_problems(card, other):
            factors.problem(place, problem)
        yield other.name


def test_set_problems(target: DatasetCard, other: DatasetCard) -> Iterator[str]:
    """Yield why networks of the target cannot be tested on another dataset.

    Cards of datasets whose classes their files say have none; these are compared when the files are read.
    """
    for key in ("task", "modality"):
        if (found := getattr(other, key)) != (wanted := getattr(target, key)):
            yield f"{other.name} has the {key} {found}, {target.name} {wanted}; accepted: the same {key}"
    both_known = target.classes and other.classes and target.task == other.task
    if both_known and set(target.classes) != set(other.classes):
        yield (
            f"{other.name} has the classes {', '.join(other.classes)}; {target.name} has "
            f"{', '.join(target.classes)}; accepted: the same names"
        )


def unused_test_sets(datasets: Mapping[str, Any], trials: Iterable[Trial]) -> Iterator[Problem]:
    """Yield each key of KEYS of a dataset that is the target of no trial; `datasets` is the file's key."""
    targets = {plain(trial.target): trial.target for trial in trials}
    for name, entry in datasets.items():
        for key in KEYS if plain(name) not in targets else ():
            if (entry or {}).get(key):
                accepted = ", ".join(sorted(targets.values()))
                text = f"`{key}` of {name}, which is no target in this file; accepted: {accepted}"
                yield ("datasets", name, key), text


def unkept_networks(included: Iterable[Space]) -> Iterator[Problem]:
    """Yield why a space that keeps no weights cannot include spaces that test networks on other images."""
    for space in included:
        tuned = (trial for trial in space.trials if not is_frozen(trial))
        if targets := sorted({trial.target for trial in tuned if _tests_networks(trial)}):
            yield (
                ("keep",),
                f"`keep` is none, and the included space `{space.name}` tests networks of "
                f"{', '.join(targets)} by `test_also` or `corruptions`, which needs their weights; "
                "remove one of them",
            )


def frozen_notes(trials: Iterable[Trial]) -> Iterator[str]:
    """Say which targets have other test sets that their frozen trials are not tested on."""
    frozen = (trial for trial in trials if is_frozen(trial))
    for target in dict.fromkeys(trial.target for trial in frozen if _tests_networks(trial)):
        yield f"{target}: linear_probe and knn keep no network to test by `test_also` and `corruptions`"


def _tests_networks(trial: Trial) -> bool:
    """Whether the space of a trial asks for tests of its target's networks on other images."""
    entry = trial.settings.of(trial.target)
    return bool(entry.test_also or entry.corruptions)
