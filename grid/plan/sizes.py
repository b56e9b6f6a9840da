"""Splits and sample sizes compared with the images that there are, before anything starts."""

from collections.abc import Iterator, Mapping
from functools import cache

from grid.plan.plan import Plan
from medpt.data import splits
from medpt.data.dataset import Dataset
from medpt.errors import InputError
from medpt.specs import Finetune, Frozen, Prepare

FEWEST = 2  # images to train on


def size_problems(plan: Plan, opened: Mapping[str, Dataset]) -> list[str]:
    """Return every split, sample size and target size that the opened datasets cannot give."""

    @cache
    def training_images(dataset: str, split: str, split_seed: int) -> int:
        return splits.assign(opened[dataset].records, split, split_seed).count("train")

    problems: list[str] = []
    specs = ((name, unit.spec) for name, unit in plan.units.items())
    prepared = {n: spec for n, spec in specs if isinstance(spec, Prepare) and spec.dataset in opened}
    images: dict[str, int] = {}
    for name, spec in prepared.items():
        try:
            images[name] = training_images(spec.dataset, spec.split, spec.split_seed)
        except InputError as error:
            problems += error.problems
        else:
            problems += _sample_problems(spec, images[name])
    for unit in plan.units.values():
        if isinstance(unit.spec, Finetune | Frozen) and unit.spec.data in images:
            problems += _share_problems(unit.spec, images[unit.spec.data])
    return list(dict.fromkeys(problems))


def _sample_problems(spec: Prepare, images: int) -> Iterator[str]:
    size = spec.sample_size
    if size is not None and not FEWEST <= size <= images:
        yield (
            f"sample_size {size:,} of {spec.dataset}: its files have {images:,} images to train on; "
            f"use {FEWEST} to {images:,}, or all"
        )


def _share_problems(spec: Finetune | Frozen, images: int) -> Iterator[str]:
    """Only a share of the training set can be too small: all of a set is checked when it is prepared."""
    count = round(spec.target_size * images)
    if spec.target_size < 1 and count < FEWEST:
        yield (
            f"target_size {spec.target_size:g} of {spec.dataset}: {count} of its {images:,} training images; "
            f"use {FEWEST / images:.2g} or more"
        )
