"""ADE20K by scene: the labels of sceneCategories.txt on the images of SceneParse150, or, where those are not
there, the folders of the full release of 2016 or 2021.

Classes are the scenes of at least `min_images` training images, `misc` (no scene) excluded, in alphabetical
order; images of other scenes are excluded, and a note counts them.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.file_tree import child
from medpt.data.readers import ade20k_full, sceneparse
from medpt.data.readers.image_files import image
from medpt.data.reading import read_text
from medpt.errors import InputError

SCENES = "sceneCategories.txt"
NO_SCENE = ade20k_full.NO_SCENE
Images = dict[str, tuple[str, Split]]


def open(card: DatasetCard, root: Path, min_images: Annotated[int, Ge(1)] = 3) -> Dataset:
    """Labels count the classes.

    Raises InputError where images and lines of sceneCategories.txt do not match.
    """
    top = sceneparse.find(root)
    if top is None:
        top = ade20k_full.find(root)
        images = ade20k_full.images(top)
        return _dataset(card, top, images, ade20k_full.scenes(top, images), min_images)
    images = sceneparse.images(top)
    return _dataset(card, top, images, _listed(top, images), min_images)


def _listed(top: Path, images: Images) -> dict[str, str]:
    """Image id to scene, by sceneCategories.txt."""
    problems: list[str] = []
    scenes = _scenes(top, problems)
    problems += [
        f"{top / path}: not in {SCENES}"
        for name, (path, _) in images.items()
        if scenes and name not in scenes
    ]
    problems += [f"{top / SCENES}: no image {name}.jpg" for name in scenes if name not in images]
    if problems:
        raise InputError(problems)
    return scenes


def _dataset(
    card: DatasetCard, top: Path, images: Images, scenes: dict[str, str], min_images: int
) -> Dataset:
    counts = Counter(scenes[name] for name, (_, split) in images.items() if split == "train")
    classes = tuple(sorted(s for s, count in counts.items() if count >= min_images and s != NO_SCENE))
    number = {scene: n for n, scene in enumerate(classes)}
    records = tuple(
        Record(card.name, path, name, name, label=number[scenes[name]], split=split)
        for name, (path, split) in sorted(images.items())
        if scenes[name] in number
    )
    excluded = Counter[str](split for name, (_, split) in images.items() if scenes[name] not in number)
    count = excluded.total()
    note = f"{count} images excluded: {NO_SCENE}, or a scene of fewer than {min_images} training images"
    info = replace(card, classes=classes)
    return Dataset(info, top, records, image, notes=(note,) * bool(count), excluded=dict(excluded))


def _scenes(top: Path, problems: list[str]) -> dict[str, str]:
    path = child(top, SCENES)
    if path is None:
        problems.append(f"{top / SCENES}: no such file; it names the scene of each image")
        return {}
    scenes: dict[str, str] = {}
    for line, text in enumerate(read_text(path).splitlines(), 1):
        name, _, scene = text.strip().partition(" ")
        if not scene.strip() or name in scenes:
            problems.append(f"{path}, line {line}: {text!r}; accepted: '<image id> <scene>', each id once")
        scenes[name] = scene.strip()
    return scenes
