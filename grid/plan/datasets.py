"""The data folders of a space: found, fingerprinted and opened; every problem of all of them in one pass."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os.path import isdir
from pathlib import Path

from grid.plan.initialization import detector_dataset, requests, space_datasets
from grid.space.trials import IMAGENET, Space
from medpt.data import open_as
from medpt.data.contents import edited
from medpt.data.dataset import Dataset
from medpt.data.fingerprint import fingerprint
from medpt.data.locate import find_dataset, locate
from medpt.data.partial_copy import find_partial, mark_synthetic
from medpt.errors import InputError
from medpt.files import sha256
from medpt.identity import canonical_json
from medpt.models.torchvision_weights import published_name

ABSENT = "absent"
CONTENTS = "contents"  # folder of the results
IMAGENET_WEIGHTS = "imagenet_weights"  # a key of `phantom`
WEIGHTS = "weights"  # the folder of the synthetic weights that this key asks for
PHANTOM_VERSION = 1  # raise it when the generator draws other images


@dataclass(frozen=True)
class SpaceDatasets:
    """Where the datasets of a space were found, and what is wrong with the others."""

    folders: dict[str, Path]
    fingerprints: dict[str, str]  # ABSENT where the folder was not found
    problems: list[str]
    weights: Path | None = None  # synthetic weights, if the space asks for them
    contents: dict[str, str] = field(default_factory=dict)  # of datasets that were edited since
    drawn: dict[str, int] = field(default_factory=dict)  # images of synthetic datasets, as the space asks


def find(space: Space, data: Path | None, out: Path, *, write: bool) -> SpaceDatasets:
    """Find and fingerprint the datasets of a space; `write` creates synthetic data that are missing."""
    weights = None
    synthetic = data is None and space.settings.phantom is not None
    if synthetic:
        data = phantom(space, out, write=write)
        weights = synthetic_weights(space, data, write=write)
    folders, problems = _folders(space, data, draws_later=synthetic and not write)
    found = {name: fingerprint(path, _card(space, name)) for name, path in folders.items()}
    contents = {
        name: content
        for name, path in folders.items()
        if (content := edited(path, recorded_contents(out, found[name]), write=write))
    }
    prints = dict.fromkeys(space_datasets(space), ABSENT) | found
    drawn = drawn_images(space) if synthetic else {}
    return SpaceDatasets(folders, prints, problems, weights, contents, drawn)


def check_results(space: Space, data: Path | None, out: Path) -> None:
    """Raise InputError where results would be written among the original files of a dataset."""
    if data is None or not out.resolve().is_relative_to(data.resolve()):
        return
    if out.resolve() == data.resolve():
        raise InputError(f"--out {out}: the folder of --data; another folder is accepted")
    for name, found in _folders(space, data, draws_later=False)[0].items():
        if out.resolve().is_relative_to(found.resolve()):
            raise InputError(f"--out {out}: lies in {found}, the files of {name}; another folder is accepted")


def _folders(space: Space, data: Path | None, *, draws_later: bool) -> tuple[dict[str, Path], list[str]]:
    """Return the folders by dataset, and why others were not found; what a run draws is no problem."""
    names = space_datasets(space)
    if data is None and (lacking := [name for name in names if not _card(space, name)]):
        needs = ", ".join(lacking)
        problem = f"--data DIR (or $MEDPT_DATA) is needed: one folder per dataset, as downloaded: {needs}"
        return {}, [problem]
    folders: dict[str, Path] = {}
    problems: list[str] = []
    for name in names:
        try:
            folders[name] = folder(space, name, data)
        except InputError as error:
            if not draws_later or space.settings.of(name).folder:
                problems += [problem + _why_detector(space, name) for problem in error.problems]
    return folders, list(dict.fromkeys(problems))  # datasets of a folder that is missing give one problem


def _card(space: Space, name: str) -> Path | None:
    """Return the file of a card that does not lie in the dataset's folder."""
    card = space.settings.of(name).card
    return Path(card) if card else None


def recorded_contents(out: Path, fingerprint: str) -> Path:
    """Return the document with times and hashes of a dataset's files when it was first prepared."""
    return out / CONTENTS / f"{fingerprint}.json"


def _why_detector(space: Space, name: str) -> str:
    """Return why data are needed that no trial names; "" for data that one names."""
    cut = sorted({trial.target for trial in space.trials if name in detector_dataset(trial)})
    return f"; `roi` of {', '.join(cut)} needs them to train the optic-disc detector" if cut else ""


def folder(space: Space, name: str, data: Path | None) -> Path:
    """Return the folder of a dataset, below `data` or where its entry says. InputError if it is missing."""
    given, data = space.settings.of(name).folder, data or Path()
    if given is None:
        return locate(name, data)
    if not isdir(data / given):
        raise InputError(f"{space.path}: datasets.{name}.folder: {data / given} is not a folder")
    return data / given


def phantom(space: Space, out: Path, *, write: bool) -> Path:
    """Return the folder of synthetic data below `out`, which spaces with equal settings share."""
    import hashlib

    from medpt import phantom as generator

    settings = {k: v for k, v in (space.settings.phantom or {}).items() if k != IMAGENET_WEIGHTS}
    differing = {name: entry.phantom for name, entry in space.settings.datasets.items() if entry.phantom}
    key = canonical_json([PHANTOM_VERSION, settings, differing])
    target = out / "phantom" / hashlib.sha256(key.encode()).hexdigest()[:12]
    if write:
        for name in space_datasets(space):
            images = target / space.settings.card(name).folders[0]
            if not images.is_dir():
                generator.write(name, images, **settings | differing.get(name, {}))
            mark_synthetic(images)  # also those of version 0.3.1
    return target


def drawn_images(space: Space) -> dict[str, int]:
    """Return how many images are drawn of each synthetic dataset of a space."""
    from medpt import phantom as generator

    found = {}
    for name in space_datasets(space):
        entry = space.settings.of(name)
        if not (entry.folder or entry.card):
            asked = (space.settings.phantom or {}) | entry.phantom
            found[name] = generator.drawn_images(name, train=asked.get("train"), test=asked.get("test"))
    return found


def synthetic_weights(space: Space, folder: Path, *, write: bool) -> Path | None:
    """Return the folder of random weights in the format of published ones; None without them."""
    if not (space.settings.phantom or {}).get(IMAGENET_WEIGHTS):
        return None
    target = folder / WEIGHTS
    for backbone in imagenet_backbones(space) if write else []:
        if not (target / published_name(backbone)).is_file():
            from medpt.models.torchvision_weights import write_synthetic

            target.mkdir(parents=True, exist_ok=True)
            write_synthetic(target, backbone, (space.settings.phantom or {}).get("seed", 0))
    return target


def open_all(space: Space, found: SpaceDatasets) -> dict[str, Dataset]:
    """Open every dataset and read its labels. Raises InputError with the problems of all of them."""
    opened, problems = open_each(space, found)
    if found.problems or problems:
        raise InputError([*found.problems, *problems])
    return opened


def open_each(space: Space, found: SpaceDatasets) -> tuple[dict[str, Dataset], list[str]]:
    """Return the datasets that were found, with their labels, and the problems of those that are unfit."""
    opened: dict[str, Dataset] = {}
    problems: list[str] = []
    for name, path in found.folders.items():
        try:
            found_card, home = (
                (space.settings.card(name), path) if _card(space, name) else find_dataset(name, path)
            )
            opened[name] = open_as(found_card, home, **space.settings.of(name).options)
        except InputError as error:
            problems += error.problems
    return opened, [*problems, *_unintended(space, opened)]


def _unintended(space: Space, opened: Mapping[str, Dataset]) -> Iterator[str]:
    """Partial copies of built-in datasets that the space does not accept."""
    for name, dataset in opened.items():
        partial_copy = find_partial(dataset)
        if partial_copy and not space.settings.of(name).partial:
            line = f"`datasets: {{{name}: {{partial: true}}}}`"
            yield f"{name}: {dataset.root} is {partial_copy}; to use it, write {line} into {space.path}"


def partial_copies(opened: Mapping[str, Dataset]) -> dict[str, int]:
    """Return how many images each partial copy of a built-in dataset has."""
    return {name: found.images for name, dataset in opened.items() if (found := find_partial(dataset))}


def published(space: Space, folder: Path | None) -> dict[str, str]:
    """Return the first digits of the SHA-256 of the ImageNet weights that a space uses, by backbone.

    A file in `folder` is hashed. Without one, the digits are those in the name of torchvision's download.
    """
    return {backbone: _weights_name(backbone, folder) for backbone in imagenet_backbones(space)}


def torchvision_downloads() -> Path:
    """Return the folder into which torchvision downloads published weights."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"


def imagenet_backbones(space: Space) -> list[str]:
    return sorted({each.backbone for each in requests(space) if each.initialization == IMAGENET})


def _weights_name(backbone: str, folder: Path | None) -> str:
    name = published_name(backbone)
    if folder and (folder / name).is_file():
        return sha256(folder / name)[:8]
    return name.removesuffix(".pth").rpartition("-")[2]
