"""Names of images: the exact one tells pixels apart, the near one holds through what copies suffer."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from medpt.data import image_hash, open_dataset
from medpt.data.augment import dihedral
from medpt.data.leakage import LIMIT
from medpt.data.locate import locate

COPIES = {
    "jpeg 50": lambda image: jpeg(image, 50),
    "jpeg 20": lambda image: jpeg(image, 20),
    "half": lambda image: scaled(image, image.shape[1] // 2, image.shape[0] // 2),
    "224 x 224": lambda image: scaled(image, 224, 224),
    "half and jpeg 75": lambda image: jpeg(scaled(image, image.shape[1] // 2, image.shape[0] // 2), 75),
    "crop of a hundredth a side": lambda image: cropped(image, 0.01),
    "black border": lambda image: np.pad(image, ((20, 20), (50, 50), (0, 0))),
    "brighter by 15 %": lambda image: np.clip(image * 1.15, 0, 255).astype(np.uint8),
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
    "mirrored": lambda image: jpeg(image[:, ::-1], 75),
    "turned": lambda image: jpeg(np.rot90(image), 75),
}


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def scaled(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def cropped(image: np.ndarray, share: float) -> np.ndarray:
    y, x = (int(side * share) for side in image.shape[:2])
    return image[y:-y, x:-x]


def scene(seed: int, height: int = 300, width: int = 420) -> np.ndarray:
    """Blobs of colour, uint8 (H, W, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))


def bits(a: bytes, b: bytes) -> int:
    """The plain oracle: differing bits, counted one by one."""
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def least(a: bytes, b: bytes) -> int:
    """Over the eight ways of laying an image."""
    forms = image_hash.turned(np.frombuffer(a, np.uint8)[None])[:, 0]
    return min(bits(form.tobytes(), b) for form in forms)


def naive(image: np.ndarray) -> np.ndarray:
    """The near name of a square grey image of 128 pixels by sums over pixels and cosines, one at a time."""
    light = image.astype(float)
    places = []
    for axis in (0, 1):
        share = np.concatenate([[0], np.cumsum(light.sum(axis=1 - axis))]) / light.sum()
        low, high = np.interp([0.1, 0.9], share, range(129))
        places.append(np.linspace(low, high, 33))
    fine = [np.arange(512) / 4 + 0.125 for _ in (0, 1)]
    big = light.repeat(4, 0).repeat(4, 1)
    cells = np.zeros((32, 32))
    for y in range(32):
        inside = (fine[0] >= places[0][y]) & (fine[0] < places[0][y + 1])
        for x in range(32):
            across = (fine[1] >= places[1][x]) & (fine[1] < places[1][x + 1])
            cells[y, x] = big[np.ix_(inside, across)].mean()
    found = np.zeros((16, 16), bool)
    for u in range(16):
        for v in range(16):
            rows, columns = (np.cos(np.pi * (2 * np.arange(32) + 1) * w / 64) for w in (u, v))
            found[u, v] = (u, v) != (0, 0) and (cells * np.outer(rows, columns)).sum() > 0
    return np.packbits(found)


def test_near_name_is_the_sign_of_cosines_over_the_lit_part() -> None:
    grey = cv2.cvtColor(scene(3, 128, 128), cv2.COLOR_RGB2GRAY)
    framed = np.pad(grey[10:90, 20:120], ((30, 18), (8, 20)))
    for image in (grey, framed):
        assert (
            bits(image_hash.perceptual_hash(image), naive(image).tobytes()) <= 12
        )  # the oracle cuts at quarter pixels


def test_exact_name_sees_a_single_level_shape_and_type() -> None:
    image = scene(1)
    other = image.copy()
    other[7, 9, 2] ^= 1
    alike = [image, other, image.reshape(-1, 300, 3), image.astype(np.int16)]
    assert len({image_hash.exact_hash(entry) for entry in alike}) == 4
    assert image_hash.exact_hash(image) == image_hash.exact_hash(np.asfortranarray(image))
    assert len(image_hash.exact_hash(image)) == len(image_hash.perceptual_hash(image)) == image_hash.BYTES


@pytest.mark.parametrize("element", range(8))
def test_names_of_turned_and_mirrored_images_follow_from_the_name(element: int) -> None:
    image = scene(2, 400, 400)
    pixels = torch.from_numpy(image.transpose(2, 0, 1).copy())[None]
    laid = dihedral(pixels, torch.tensor([element]))[0].numpy().transpose(1, 2, 0)
    known = np.frombuffer(image_hash.perceptual_hash(image), np.uint8)[None]
    assert bits(image_hash.turned(known)[element, 0].tobytes(), image_hash.perceptual_hash(laid)) <= 4
    others = [bits(form[0].tobytes(), image_hash.perceptual_hash(laid)) for form in image_hash.turned(known)]
    assert sorted(others)[1] > 60


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_and_other_images_far(copy: str) -> None:
    scenes = [scene(seed) for seed in range(12)]
    names = [image_hash.perceptual_hash(image) for image in scenes]
    for number, image in enumerate(scenes):
        name = image_hash.perceptual_hash(COPIES[copy](image))
        assert least(names[number], name) <= LIMIT
        assert all(least(other, name) > LIMIT for other in names if other != names[number])


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.full((50, 70, 3), 200, np.uint8)])
def test_image_without_structure_has_no_near_name(image: np.ndarray) -> None:
    assert image_hash.perceptual_hash(image) == bytes(32)
    assert not image_hash.turned(np.zeros((1, 32), np.uint8)).any()


def test_hounsfield_units_and_floats_are_named_as_their_window() -> None:
    grey = cv2.cvtColor(scene(5), cv2.COLOR_RGB2GRAY)
    units = (grey.astype(np.int16) * 8 - 1000, (grey / 7).astype(np.float32))
    assert all(
        bits(image_hash.perceptual_hash(image), image_hash.perceptual_hash(grey)) <= LIMIT for image in units
    )
    assert image_hash.perceptual_hash(np.full((40, 40), -1000, np.int16)) == bytes(32)


def test_small_images_have_names() -> None:
    tiny = scene(8, 32, 32)
    assert least(image_hash.perceptual_hash(tiny), image_hash.perceptual_hash(scaled(tiny, 64, 64))) <= LIMIT


@pytest.mark.real
@pytest.mark.parametrize("dataset", ["DRIVE", "DRISHTI-GS", "HRF", "ChestXRay2017", "ISIC2019", "ImageNet"])
def test_real_copies_are_found_and_real_patients_kept_apart(real: Path, dataset: str) -> None:
    opened = open_dataset(dataset, locate(dataset, real))
    images = [opened.image(record) for record in opened.records[:10]]
    images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    names = [image_hash.perceptual_hash(image) for image in images]
    apart = [least(a, b) for n, a in enumerate(names) for b in names[:n]]
    assert min(apart, default=255) > LIMIT + 12
    for name, image in zip(names[:4], images, strict=False):
        for copy in ("jpeg 50", "half", "224 x 224", "half and jpeg 75", "black border", "mirrored"):
            assert least(name, image_hash.perceptual_hash(COPIES[copy](image))) <= 12
        assert least(name, image_hash.perceptual_hash(COPIES["crop of a hundredth a side"](image))) <= LIMIT
