"""The unit `coordinates`: where random linear networks put the images of one dataset (paper, equation 1)."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.analysis.cmd import cmd, cmv, subset_means
from medpt.analysis.distances import grey_world
from medpt.analysis.settings import Settings
from medpt.errors import InputError
from medpt.files import write_arrays
from medpt.specs import Coordinates
from medpt.units.base import Files, Inputs, Job, Tested, sample_training_images

COORDINATES = "coordinates.npz"


def run(spec: Coordinates, inputs: Inputs, job: Job) -> dict[str, float]:
    """Compute the coordinates of a dataset under every initialization and seed, and those of its controls.

    Writes coordinates.npz: `<init>` float64 (seeds, t, 2), `<control>|<init>` alike, `mean colour`
    (seeds, t, 3) in [0, 1], and `images`, the number of images. The metrics are the dataset's distances from
    itself, one per initialization.
    """
    settings = settings_of(spec)
    images = sample_training_images(inputs.loader(spec.data), spec.images, spec.dataset)
    arrays = {"images": np.array(len(images)), "mean colour": _mean_colours(images, settings)}
    for init in settings.inits:
        arrays[init] = _coordinates(images, init, settings, job.device)
    pooled = replace(settings, maxpool="avg")
    neutral = grey_world(images)
    for init in settings.inits:
        arrays[f"average pool|{init}"] = _coordinates(images, init, pooled, job.device)
        arrays[f"grey world|{init}"] = _coordinates(neutral, init, settings, job.device)
    write_arrays(job.folder / COORDINATES, arrays)
    return _distances(arrays, settings)


def stored_metrics(spec: Coordinates, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that coordinates.npz determines: all."""
    stored = files.get(COORDINATES)
    return {COORDINATES: _distances(stored, settings_of(spec))} if stored else {}


def _distances(arrays: Mapping[str, NDArray[Any]], settings: Settings) -> dict[str, float]:
    """Return the distances of a dataset from itself under each initialization that the arrays have."""
    inits = [init for init in settings.inits if init in arrays]
    return {f"cmd_{init}": float(np.mean([cmd(one, one) for one in arrays[init]])) for init in inits}


def settings_of(spec: Coordinates) -> Settings:
    """Return the settings that the options give.

    Raises InputError for unknown options, and for those that need several datasets at once.
    """
    try:
        settings = Settings(**spec.options)
    except TypeError:
        known = ", ".join(field.name for field in fields(Settings))
        raise InputError(f"cmd: options {', '.join(spec.options)}; accepted: {known}") from None
    if settings.head == "pca":
        raise InputError(
            "cmd: `head` is 'pca', which needs several datasets for its axes; linear is accepted here"
        )
    return settings


def _coordinates(
    images: NDArray[np.uint8], init: str, settings: Settings, device: str
) -> NDArray[np.float64]:
    """Return the coordinates (seeds, t, 2)."""
    return np.array([cmv({"": images}, init, seed, settings, device)[""] for seed in range(settings.seeds)])


def _mean_colours(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float64]:
    colours = images.mean(axis=(1, 2), dtype=np.float64) / 255
    return np.array([subset_means(colours, seed, settings) for seed in range(settings.seeds)])
