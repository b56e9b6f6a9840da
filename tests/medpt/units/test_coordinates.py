"""Coordinates of a dataset are those that medpt.analysis gives for its training images."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import shades

from medpt.analysis import cmd
from medpt.analysis.cmd import cmv
from medpt.analysis.settings import Settings
from medpt.errors import InputError
from medpt.specs import Coordinates
from medpt.units import coordinates

SMALL = {"n": 3, "t": 4, "seeds": 2}


def test_coordinates_are_those_of_the_training_images(tmp_path: Path) -> None:
    loader, settings = shades(), Settings(**SMALL)
    spec = Coordinates("Toy", "d", options=SMALL)
    metrics = coordinates.run(spec, MemoryInputs({"d": loader}), job_in(tmp_path))
    with np.load(tmp_path / "out" / coordinates.COORDINATES, allow_pickle=False) as file:
        arrays = dict(file)
    images = np.concatenate([part.numpy() for part, _ in loader.scan(loader.index.rows("train"), 64)])
    assert arrays["images"] == len(images) == 12
    for seed in range(2):
        np.testing.assert_allclose(arrays["xavier"][seed], cmv({"": images}, "xavier", seed, settings)[""])
    pooled = cmv({"": images}, "xavier", 1, replace(settings, maxpool="avg"))[""]
    np.testing.assert_allclose(arrays["average pool|xavier"][1], pooled)
    assert arrays["mean colour"].shape == (2, 4, 3)
    own = np.mean([cmd(cloud, cloud) for cloud in arrays["kaiming"]])
    assert metrics["cmd_kaiming"] == pytest.approx(own)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"subsets": 4}, "options subsets; accepted: network"), ({"head": "pca"}, "linear is accepted")],
)
def test_coordinates_refuse_options_of_several_datasets(options: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        coordinates.settings_of(Coordinates("Toy", "d", options=options))
