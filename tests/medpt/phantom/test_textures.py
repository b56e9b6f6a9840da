"""Planted textures: the best possible score is known, and nothing else tells the classes apart."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medpt import phantom
from medpt.data import open_dataset
from medpt.errors import InputError
from medpt.phantom import textures
from medpt.phantom.paint import stream


@given(st.integers(0, 12), st.integers(1, 5))
def test_scores_that_know_the_texture_reach_one_less_the_share(wrong: int, rounds: int) -> None:
    share, count = wrong / 25, 25 * rounds
    labels = [label for label in (0, 1) for _ in range(count)]
    kinds = [textures.shown(label, number, share) for label in (0, 1) for number in range(count)]
    assert roc_auc_score(labels, kinds) == pytest.approx(1 - share)


def test_textures_of_both_classes_have_equal_mean_and_variance_and_differ_in_scale() -> None:
    ground = np.full((96, 96), 0.5, np.float32)
    drawn = [
        [textures.draw(stream(0, kind, n), ground, kind, textures.PLAIN) - ground for n in range(40)]
        for kind in (0, 1)
    ]
    spread = [np.std(images) for images in drawn]
    steps = [np.mean([np.abs(np.diff(image)).mean() for image in images]) for images in drawn]
    assert np.abs([np.mean(images) for images in drawn]).max() < 0.01
    assert spread[0] == pytest.approx(spread[1], rel=0.1)
    assert steps[1] > 1.5 * steps[0]


@pytest.mark.parametrize("name", ["MURA", "ChestXRay2017"])
def test_planted_dataset_is_read_as_any_other(tmp_path: Path, name: str) -> None:
    folder = phantom.write(name, tmp_path / name, train=12, test=8, size=32, planted=0.25)
    assert len(open_dataset(name, folder)) == 20


def test_layout_without_planted_textures_refuses_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the synthetic DRIVE has no planted"):
        phantom.write("DRIVE", tmp_path / "DRIVE", planted=0.1)
    assert not (tmp_path / "DRIVE").exists()
