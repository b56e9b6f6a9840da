"""The initializations that a comparison can start from on this machine, and which of them it takes.

Without --sources these are random weights, published weights that are on this machine, and the datasets below
--data of the target's modality, at most MOST_TRAINED of them. Where that leaves random weights alone, a
self-supervised pre-training on the images themselves joins them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grid.plan.datasets import torchvision_downloads
from grid.space.factors import Factors
from grid.space.trials import IMAGENET, RANDOM, SELF_SUPERVISED, UNTRAINED, self_supervised
from grid.space.weights_folders import WeightsFolders
from medpt.data.card import DatasetCard
from medpt.data.catalog import card, names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.locate import find_user_datasets, locate
from medpt.errors import InputError
from medpt.models.weights import published_name

MOST_TRAINED = 2  # datasets that are pre-trained on unless --sources names more
OWN_IMAGENET = "ImageNet"  # the dataset, which this grid pre-trains on


@dataclass(frozen=True)
class Source:
    """An initialization. `reason` says where it comes from; `datasets` are pre-trained on here."""

    name: str
    reason: str
    datasets: tuple[str, ...] = ()

    @property
    def is_trained_here(self) -> bool:
        return self.name not in UNTRAINED


def find_sources(
    wanted: Sequence[str], target: DatasetCard, data: Path | None, weights: Path | None, backbone: str
) -> tuple[list[Source], list[str]]:
    """Return the sources, random weights first, and notes on what was not taken.

    Raises InputError for names that are unknown, or whose data or weights are missing.
    """
    cards = _below(data)
    if wanted:
        return _wanted(wanted, cards, weights, backbone), []
    taken, notes = [Source(RANDOM, "the baseline of every gain")], []
    if file := _weights_file(weights, backbone):
        taken.append(_published(file))
    else:
        notes.append(_no_weights(weights, backbone))
    alike = [one for one in cards.values() if one.modality == target.modality and one.name != target.name]
    taken += [_trained(one) for one in alike[:MOST_TRAINED]]
    rest = [one.name for one in cards.values() if one.name != target.name][: 3 * MOST_TRAINED]
    if left := [name for name in rest if name not in {source.name for source in taken}]:
        notes.append(f"also below --data: {', '.join(left)}; --sources takes them")
    if len(taken) == 1:
        taken.append(_self_supervised(next(iter(SELF_SUPERVISED))))
    return taken, notes


def _below(data: Path | None) -> dict[str, DatasetCard]:
    """The datasets with labels that lie below `data`, by name: the user's own first."""
    if data is None:
        return {}
    found = {name: user.card for name, user in find_user_datasets(data).found.items()}
    for name in names():
        try:
            locate(name, data)
        except InputError:  # not below --data, or in several folders
            continue
        found[name] = card(name)
    return {name: one for name, one in found.items() if one.task != "survival"}


def _wanted(
    wanted: Sequence[str], cards: Mapping[str, DatasetCard], weights: Path | None, backbone: str
) -> list[Source]:
    problems: list[str] = []
    factors = Factors(
        lambda path, text: problems.append(f"--sources: {text}"), cards, WeightsFolders(()), sound=True
    )
    found = {RANDOM: Source(RANDOM, "the baseline of every gain")}
    for text in wanted:
        known = len(problems)
        name, size = factors.initialization(text, ())
        if len(problems) > known:
            continue
        label = text if size else name
        if name == IMAGENET:
            file = _weights_file(weights, backbone)
            found[label] = _published(file) if file else Source(name, _no_weights(weights, backbone))
        elif name in self_supervised():
            found[label] = _self_supervised(name)
        elif lacking := [each for each in _datasets(name) if each not in cards]:
            problems.append(_missing(label, lacking))
        elif name not in UNTRAINED:
            found[label] = Source(label, f"pre-trained here on {', '.join(_datasets(name))}", _datasets(name))
    if problems:
        raise InputError(problems)
    return list(found.values())


def _datasets(name: str) -> tuple[str, ...]:
    return COLLECTIONS[name].datasets if name in COLLECTIONS else (name,)


def _missing(label: str, lacking: Sequence[str]) -> str:
    text = f"--sources: {label}: no folder of {', '.join(lacking)} below --data"
    if label == OWN_IMAGENET:
        return f"{text}; `{OWN_IMAGENET}` is pre-trained here, `{IMAGENET}` are published weights"
    return f"{text}; `medpt-data list --data DIR` shows what is there"


def _trained(one: DatasetCard) -> Source:
    return Source(one.name, f"pre-trained here on {one.name} ({one.modality}, below --data)", (one.name,))


def _self_supervised(name: str) -> Source:
    return Source(name, "pre-trained here on the training images themselves, without labels")


def _published(file: Path) -> Source:
    return Source(IMAGENET, f"published weights, {file}")


def _weights_file(folder: Path | None, backbone: str) -> Path | None:
    file = (folder or torchvision_downloads()) / published_name(backbone)
    return file if file.is_file() else None


def _no_weights(folder: Path | None, backbone: str) -> str:
    where = folder or torchvision_downloads()
    return (
        f"{IMAGENET}: no {published_name(backbone)} in {where}; `--imagenet-weights DIR` names another "
        f'folder, `--sources "{RANDOM},{IMAGENET}"` downloads it'
    )
