"""Rows of features against the maps that they are read from, and scores that know which encoder sees."""

import numpy as np
import pytest
import torch
from torch import nn

from medpt.analysis import features
from medpt.analysis.transferability import logme
from medpt.data.augment import normalise
from medpt.data.dataset import IGNORE
from medpt.errors import InputError
from medpt.models.registry import build_encoder

SIDE = 48


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return build_encoder("resnet18").eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (features.BATCH + 5, SIDE, SIDE, 3)).astype(np.uint8)


def test_pooled_rows_are_means_of_the_last_map(encoder: nn.Module, images: np.ndarray) -> None:
    found = features.pooled(encoder, images)
    with torch.no_grad():
        for row in (0, features.BATCH, len(images) - 1):
            last = encoder(normalise(torch.tensor(images[row : row + 1])))[-1][0].double()
            np.testing.assert_allclose(found[row], last.sum((1, 2)) / last[0].numel(), atol=1e-5)


def test_rows_at_pixels_are_what_the_maps_hold_there(encoder: nn.Module, images: np.ndarray) -> None:
    places = np.random.default_rng(1).integers(0, SIDE, (len(images), 3, 2))
    found = features.at_pixels(encoder, images, places).reshape(len(images), 3, -1)
    for image, number in ((0, 2), (features.BATCH + 1, 0)):
        with torch.no_grad():
            maps = encoder(normalise(torch.tensor(images[image : image + 1])))
        row, column = places[image, number]
        scales = [SIDE / layer.shape[-1] for layer in maps]
        parts = [m[0, :, int(row / s), int(column / s)] for m, s in zip(maps, scales, strict=True)]
        np.testing.assert_allclose(found[image, number], torch.cat(parts).double(), atol=1e-5)


def test_pixels_hear_small_classes_and_never_what_nobody_labelled() -> None:
    masks = np.zeros((50, SIDE, SIDE), np.uint8)
    masks[:, 3:5, 7] = 1
    masks[:, 20:] = IGNORE
    places = features.pixels(masks, 16)
    assert places.shape == (50, 16, 2)
    drawn = masks[np.arange(50)[:, None], places[..., 0], places[..., 1]]
    assert set(np.unique(drawn)) == {0, 1}
    assert 0.43 < (drawn == 1).mean() < 0.57  # five standard deviations of 800 fair coins
    np.testing.assert_array_equal(places, features.pixels(masks, 16))


def test_of_masks_labelled_pixels_alone_are_scored(encoder: nn.Module, images: np.ndarray) -> None:
    masks = (images[..., 0] > 127).astype(np.uint8)
    masks[3] = IGNORE
    score = features.transferability(encoder, images, masks)
    keep = np.arange(len(images)) != 3
    places = features.pixels(masks)
    rows = features.at_pixels(encoder, images[keep], places[keep])
    known = np.concatenate([masks[n][tuple(places[n].T)] for n in np.flatnonzero(keep)])
    assert score == pytest.approx(logme(rows, known), abs=1e-6)


def test_an_encoder_that_sees_the_label_scores_higher(encoder: nn.Module, images: np.ndarray) -> None:
    labels = np.arange(len(images)) % 2
    told = images.copy()
    told[labels == 1] //= 4
    blind = np.random.default_rng(2).permutation(labels)
    assert (
        features.transferability(encoder, told, labels) > features.transferability(encoder, told, blind) + 0.3
    )


def test_one_class_cannot_be_scored(encoder: nn.Module, images: np.ndarray) -> None:
    with pytest.raises(InputError, match="two classes"):
        features.transferability(encoder, images[:8], np.zeros(8, np.int64))
