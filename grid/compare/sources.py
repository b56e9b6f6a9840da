"""The initializations that a comparison can start from on this machine, and which of them it takes.

Without --sources these are random weights, published weights that are on this machine (torchvision's, and
those that initializations/NAME.yaml describes), and the datasets below --data of the target's modality, at
most MOST_TRAINED of them: those of its task first, then those with most images. Where that leaves random
weights alone, a self-supervised pre-training on the images themselves joins them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grid.plan.datasets import torchvision_downloads
from grid.space.factors import Factors
from grid.space.trials import IMAGENET, RANDOM, SELF_SUPERVISED, UNTRAINED, self_supervised
from grid.space.weights_folders import SHIPPED, WeightsFolders, describe_weights
from medpt.data.card import DatasetCard
from medpt.data.catalog import card, names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.locate import find_user_datasets, locate
from medpt.errors import InputError
from medpt.models.torchvision_weights import has_published_weights, published_name
from medpt.models.weights_file import WeightsFile

MOST_TRAINED = 2  # datasets that are pre-trained on unless --sources names more
SPACE = "compare.yaml"
OWN_IMAGENET = "ImageNet"  # the dataset, which this grid pre-trains on


@dataclass(frozen=True)
class Source:
    """An initialization. `reason` says where it comes from; `datasets` are pre-trained on here.

    `weights` are those that are on this machine: a description, or a file of torchvision's or of this grid's.
    """

    name: str
    reason: str
    datasets: tuple[str, ...] = ()
    weights: WeightsFile | Path | None = None

    @property
    def can_be_probed(self) -> bool:
        """Whether an encoder can be built now: of weights that are here, or of random ones."""
        return self.name == RANDOM or self.weights is not None

    @property
    def is_trained_here(self) -> bool:
        return bool(self.datasets) or self.is_self_supervised

    @property
    def is_self_supervised(self) -> bool:
        return self.name in self_supervised()


def find_sources(
    wanted: Sequence[str], target: DatasetCard, data: Path | None, weights: Path | None, backbone: str
) -> tuple[list[Source], list[str]]:
    """Return the sources, random weights first, and notes on what was not taken.

    Raises InputError for names that are unknown, or whose data or weights are missing.
    """
    cards = datasets_below(data)
    if wanted:
        factors, problems = _factors(cards, data)
        found = _wanted(wanted, factors, weights, backbone, problems)
        if problems:
            raise InputError(f"--sources: {text}" for text in problems)
        return found, []
    taken, notes = sources_at_hand(data, weights, backbone)
    alike = [one for one in cards.values() if one.modality == target.modality and one.name != target.name]
    alike.sort(key=lambda one: (one.task != target.task, -one.counts.get("train", 0)))
    taken += [trained_on(one) for one in alike[:MOST_TRAINED]]
    rest = [one.name for one in cards.values() if one.name != target.name][: 3 * MOST_TRAINED]
    if left := [name for name in rest if name not in {source.name for source in taken}]:
        notes.append(f"also below --data: {', '.join(left)}; --sources takes them")
    if len(taken) == 1:
        taken.append(_self_supervised(next(iter(SELF_SUPERVISED))))
    return taken, notes


def _factors(cards: Mapping[str, DatasetCard], data: Path | None) -> tuple[Factors, list[str]]:
    """Return what names initializations, and the list to which it adds problems."""
    problems = list[str]()
    folders = WeightsFolders.of(Path(SPACE), data)
    return Factors(lambda path, text: problems.append(text), cards, folders, sound=True), problems


def sources_at_hand(data: Path | None, weights: Path | None, backbone: str) -> tuple[list[Source], list[str]]:
    """Return random weights and the published weights that are on this machine, and notes on others."""
    factors, problems = _factors({}, data)
    taken, notes = [Source(RANDOM, "the baseline of every gain")], []
    if file := _weights_file(weights, backbone):
        taken.append(_published(file))
    elif has_published_weights(backbone):
        notes.append(_no_weights(weights, backbone))
    taken += _described(factors, backbone)
    notes += [text for text in problems if str(SHIPPED) not in text]  # whose files are not shipped
    return taken, notes


def datasets_below(data: Path | None) -> dict[str, DatasetCard]:
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


def _described(factors: Factors, backbone: str) -> list[Source]:
    """Published weights of the backbone that a YAML file describes and whose own file is here."""
    known = [name for name in factors.folders.names() if factors.published_weights(name, ())]
    files = [factors.weights[name] for name in known if name in factors.weights]
    return [
        Source(one.name, f"published weights: {describe_weights(one)}", weights=one)
        for one in files
        if one.backbone == backbone and _is_here(one)
    ]


def _is_here(one: WeightsFile) -> bool:
    """Whether the file is beside its description, or downloaded; not if it is that of `imagenet*`."""
    name = (one.url or "").rpartition("/")[2]
    if has_published_weights(one.backbone) and name == published_name(one.backbone):
        return False
    downloaded = torchvision_downloads() / name if name else None
    return any(path is not None and path.is_file() for path in (one.file_path, downloaded))


def _wanted(
    wanted: Sequence[str], factors: Factors, weights: Path | None, backbone: str, problems: list[str]
) -> list[Source]:
    """Return the named sources; what is wrong with the others goes to `problems`."""
    found = {RANDOM: Source(RANDOM, "the baseline of every gain")}
    for text in wanted:
        known = len(problems)
        name, size = factors.initialization(text, ())
        if len(problems) > known:
            continue
        label = text if size else name
        if described := factors.weights.get(name):
            found[label] = Source(label, f"published weights: {describe_weights(described)}")
            if described.backbone != backbone:
                told = f"{label} has a {described.backbone}; `compare` starts with {backbone}"
                problems.append(f"{told}, write the space yourself for another one")
        elif name == IMAGENET:
            file = _weights_file(weights, backbone)
            found[label] = _published(file) if file else Source(name, _no_weights(weights, backbone))
        elif name in self_supervised():
            found[label] = _self_supervised(name)
        elif name in UNTRAINED:
            continue  # random weights are there
        elif lacking := [each for each in _datasets(name) if each not in factors.cards]:
            problems.append(_missing(label, lacking))
        else:
            found[label] = Source(label, f"pre-trained here on {', '.join(_datasets(name))}", _datasets(name))
    return list(found.values())


def _datasets(name: str) -> tuple[str, ...]:
    return COLLECTIONS[name].datasets if name in COLLECTIONS else (name,)


def _missing(label: str, lacking: Sequence[str]) -> str:
    text = f"{label}: no folder of {', '.join(lacking)} below --data"
    if label == OWN_IMAGENET:
        return f"{text}; `{OWN_IMAGENET}` is pre-trained here, `{IMAGENET}` are published weights"
    return f"{text}; `medpt-data list --data DIR` shows what is there"


def trained_on(one: DatasetCard) -> Source:
    return Source(one.name, f"pre-trained here on {one.name} ({one.modality}, below --data)", (one.name,))


def _self_supervised(name: str) -> Source:
    return Source(name, "pre-trained here on the training images themselves, without labels")


def _published(file: Path) -> Source:
    return Source(IMAGENET, f"published weights, {file}", weights=file)


def _weights_file(folder: Path | None, backbone: str) -> Path | None:
    if not has_published_weights(backbone):
        return None
    file = (folder or torchvision_downloads()) / published_name(backbone)
    return file if file.is_file() else None


def _no_weights(folder: Path | None, backbone: str) -> str:
    where = folder or torchvision_downloads()
    return (
        f"{IMAGENET}: no {published_name(backbone)} in {where}; `--imagenet-weights DIR` names another "
        f'folder, `--sources "{RANDOM},{IMAGENET}"` downloads it'
    )
