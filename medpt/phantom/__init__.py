"""Synthetic datasets in the publishers' layouts: file names, formats, csv headers and traps as published.

Pictures are drawn by procedure from a seed: equal arguments give equal bytes (under one version of Pillow,
OpenCV and numpy). Labels can be seen, so that networks learn something; nothing can be concluded from them
about real images.
"""

from collections.abc import Iterable
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType

from medpt.data import catalog
from medpt.data.catalog import card
from medpt.data.partial_copy import mark_synthetic
from medpt.errors import InputError
from medpt.files import building


def write(name: str, folder: str | Path, *, seed: int = 0, **drawn: float | None) -> Path:
    """Writes dataset `name` into `folder`, which appears whole; `open_dataset(name, folder)` reads it.

    `drawn`: `train` and `test` count images (CHAOS-CT: patients; where a published test set has no labels,
    so has this one; where the publisher has no subsets, their sum counts), `size` is the height of images in
    pixels, `planted` is the share of medpt.phantom.textures. None is the layout's default. Raises InputError
    if `folder` holds something already, or if the layout has no such argument.
    """
    layout = _layout(name)
    given = {key: value for key, value in drawn.items() if value is not None}
    if unknown := sorted(given.keys() - signature(layout.write).parameters.keys()):
        raise InputError(f"the synthetic {name} has no {', '.join(unknown)}")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: exists and is not empty; accepted: a new folder")
    with building(target) as temporary:
        layout.write(temporary, seed=seed, **given)
        mark_synthetic(temporary)
    return target


def drawn_images(name: str, *, train: int | None = None, test: int | None = None) -> int:
    """Return how many images, or patients, `write` draws for these arguments."""
    defaults = signature(_layout(name).write).parameters
    given = {"train": train, "test": test}
    return sum(defaults[part].default if count is None else count for part, count in given.items())


def _layout(name: str) -> ModuleType:
    return import_module(f"medpt.phantom.{card(name).phantom}")


def write_all(folder: str | Path, names: Iterable[str] | None = None, *, seed: int = 0) -> dict[str, Path]:
    """Each named dataset (None: all) under `folder`, in the folder that `locate` looks for; name to path.

    Names of the same files (ADE20K and ADE20K-Seg, the two of CheXpert, STARE and REFUGE) share one folder.
    Raises InputError, before anything is written, if one of the folders holds something already.
    """
    cards = [card(name) for name in (catalog.names() if names is None else names)]
    places = {entry.name: Path(folder) / entry.folders[0] for entry in cards}
    taken = sorted({str(place) for place in places.values() if place.exists()})
    if taken:
        raise InputError(f"{place}: exists already; accepted: a new folder" for place in taken)
    for name, place in places.items():
        if not place.exists():
            write(name, place, seed=seed)
    return places
