"""Corrupted copies of images against plain loops over their pixels, and OpenCV's JPEG."""

from collections.abc import Callable
from math import exp
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import toy_data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medpt.data import cache
from medpt.data.arrays import ArrayLoader
from medpt.data.corruptions import KINDS, STRENGTHS, CorruptedLoader, Corruption, Pixels
from medpt.identity import stream_seed

SIDE = 16


def rounded(value: float) -> int:
    return round(min(max(value, 0.0), 255.0))


def mirrored(place: int) -> int:
    """Return the place inside the image that a place beyond its border repeats, without the border twice."""
    period = 2 * (SIDE - 1)
    place %= period
    return min(place, period - place)


def blurred_line(line: list[float], deviation: float) -> list[float]:
    reach = int(4 * deviation + 0.5)
    weights = [exp(-(d**2) / (2 * deviation**2)) for d in range(-reach, reach + 1)]
    return [
        sum(w * line[mirrored(x + d)] for w, d in zip(weights, range(-reach, reach + 1), strict=True))
        / sum(weights)
        for x in range(SIDE)
    ]


def blur_by_loops(image: Pixels, strength: int) -> Pixels:
    deviation = SIDE / (128, 64, 32)[strength - 1]
    found = np.empty_like(image)
    for channel in range(3):
        columns = [blurred_line(image[:, x, channel].tolist(), deviation) for x in range(SIDE)]
        rows = [blurred_line([column[y] for column in columns], deviation) for y in range(SIDE)]
        found[..., channel] = [[rounded(value) for value in row] for row in rows]
    return found


def noise_by_loops(image: Pixels, strength: int, number: int) -> Pixels:
    generator = np.random.Generator(np.random.Philox(key=stream_seed(0, "noise", number)))
    draws = iter(generator.standard_normal(image.size))
    deviation = 255 * (0.04, 0.08, 0.16)[strength - 1]
    return by_pixel(image, lambda value: value + deviation * next(draws))


def by_pixel(image: Pixels, change: Callable[[float], float]) -> Pixels:
    values = [rounded(change(value)) for value in image.ravel().tolist()]
    return np.array(values, np.uint8).reshape(image.shape)


def jpeg_by_opencv(image: Pixels, strength: int) -> Pixels:
    quality = (50, 25, 10)[strength - 1]
    _, file = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]


def expected(image: Pixels, kind: str, strength: int, number: int) -> Pixels:
    if kind == "blur":
        return blur_by_loops(image, strength)
    if kind == "noise":
        return noise_by_loops(image, strength, number)
    if kind == "jpeg":
        return jpeg_by_opencv(image, strength)
    if kind == "brightness":
        return by_pixel(image, lambda value: value + 255 * (0.1, 0.2, 0.3)[strength - 1])
    mean, factor = sum(image.ravel().tolist()) / image.size, (0.75, 0.5, 0.25)[strength - 1]
    return by_pixel(image, lambda value: mean + factor * (value - mean))


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3, deadline=None)
@given(image=arrays(np.uint8, (SIDE, SIDE, 3), fill=st.nothing()), number=st.integers(0, 10**6))
def test_corruption_equals_plain_loops(kind: str, strength: int, image: Pixels, number: int) -> None:
    image[0, 0] = (0, 1, 2)  # in colour
    found = Corruption(kind, strength).apply(image, number).astype(int)
    wanted = expected(image, kind, strength, number).astype(int)
    rounding = kind in ("blur", "contrast")  # sums in another order may fall on the other side of a half
    assert np.abs(found - wanted).max() <= rounding
    assert (found == wanted).mean() > 0.98


def is_grey(image: Pixels) -> bool:
    return bool((image == image[..., :1]).all())


@pytest.mark.parametrize("kind", KINDS)
def test_strength_increases_the_change(kind: str) -> None:
    image = np.random.default_rng(0).integers(60, 160, (64, 64, 3), dtype=np.uint8)
    changes = [np.abs(Corruption(kind, s).apply(image, 0).astype(int) - image).mean() for s in STRENGTHS]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_noise_keeps_a_grey_image_grey() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8), 3, axis=2)
    found = Corruption("noise", 2).apply(grey, 4)
    assert is_grey(found)
    assert not np.array_equal(found, grey)


def test_noise_is_drawn_by_the_number_of_the_image() -> None:
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    image[0, 0, 0] = 0
    noise = Corruption("noise", 1)
    assert np.array_equal(noise.apply(image, 1), noise.apply(image, 1))
    assert not np.array_equal(noise.apply(image, 1), noise.apply(image, 2))


def test_loader_corrupts_each_image_by_its_row_whatever_the_batches(tmp_path: Path) -> None:
    toy_data.prepare(tmp_path, toy_data.dataset("segmentation"))
    plain = ArrayLoader(cache.from_shards(tmp_path, tmp_path / "cache"))
    corruption, rows = Corruption("noise", 3), np.array([1, 3, 4])
    loader = CorruptedLoader(plain, plain.index, corruption)
    images, masks = map(torch.cat, zip(*loader.scan(rows, 2), strict=True))
    known, truth = map(torch.cat, zip(*plain.scan(rows, 3), strict=True))
    wanted = [corruption.apply(image, row) for image, row in zip(known.numpy(), (1, 3, 4), strict=True)]
    assert np.array_equal(images.numpy(), np.stack(wanted))
    assert torch.equal(masks, truth)
