"""The dihedral group against numpy's rot90 and flips, image by image; normalisation against torchvision.

Zoom and light are compared with loops.
"""

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import normalize

from medpt.data.augment import augment, change_light, dihedral, inverse, normalise, zoom
from medpt.normalisation import IMAGENET, Normalisation

ALL = torch.arange(8)


def _oracle(image: np.ndarray, element: int) -> np.ndarray:
    """(C, S, S) or (S, S), one image at a time."""
    turned = [
        np.rot90(np.fliplr(plane) if element >= 4 else plane, element % 4)
        for plane in image.reshape(-1, 5, 5)
    ]
    return np.stack(turned).reshape(image.shape)


@pytest.mark.parametrize("shape", [(3, 5, 5), (5, 5)])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float32])
def test_each_item_is_transformed_by_its_own_element(shape, kind):
    batch = torch.randint(0, 256, (64, *shape), generator=torch.Generator().manual_seed(0)).to(kind)
    elements = torch.randint(0, 8, (64,), generator=torch.Generator().manual_seed(1))
    result = dihedral(batch, elements)
    assert result.dtype == kind
    for before, element, after in zip(batch.numpy(), elements.tolist(), result.numpy(), strict=True):
        np.testing.assert_array_equal(after, _oracle(before, element))


def _orbit() -> torch.Tensor:
    """One image without symmetry under the eight elements."""
    return dihedral(torch.arange(16).reshape(1, 4, 4).repeat(8, 1, 1), ALL)


def test_eight_different_elements_closed_under_composition():
    orbit = {tuple(image.flatten().tolist()) for image in _orbit()}
    assert len(orbit) == 8
    for second in range(8):
        twice = dihedral(_orbit(), torch.full((8,), second))
        assert {tuple(image.flatten().tolist()) for image in twice} == orbit


def test_zero_is_the_identity_and_inverses_undo():
    images = torch.rand(8, 3, 7, 7)
    assert torch.equal(dihedral(images, torch.zeros(8, dtype=torch.int64)), images)
    assert torch.equal(dihedral(dihedral(images, ALL), inverse(ALL)), images)
    assert torch.equal(dihedral(dihedral(images, inverse(ALL)), ALL), images)


def test_image_and_mask_stay_aligned():
    images = torch.randint(0, 256, (8, 3, 6, 6), dtype=torch.uint8)
    masks = images[:, 1] // 50
    assert torch.equal(dihedral(images, ALL)[:, 1] // 50, dihedral(masks, ALL))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_format_stays(layout):
    images = torch.rand(8, 3, 6, 6).contiguous(memory_format=layout)
    assert dihedral(images, ALL).is_contiguous(memory_format=layout)


def test_quarter_turns_of_oblongs_are_refused():
    with pytest.raises(ValueError, match=r"square images, these are \(4, 6\)"):
        dihedral(torch.zeros(1, 3, 4, 6), torch.tensor([1]))


def test_normalise_is_torchvisions():
    images = torch.randint(0, 256, (4, 9, 9, 3), dtype=torch.uint8)
    expected = normalize(images.permute(0, 3, 1, 2) / 255, list(IMAGENET.mean), list(IMAGENET.std))
    result = normalise(images)
    assert result.dtype == torch.float32
    assert result.is_contiguous()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value_range", [(0.0, 255.0), (-1024.0, 1024.0), (0.0, 1.0)])
def test_normalise_maps_pixels_to_the_value_range_first(value_range):
    normalisation = Normalisation((0.5, 10.0, -3.0), (0.5, 2.0, 100.0), value_range)
    pixel = torch.tensor([0, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)
    low, high = value_range
    expected = [
        (low + value / 255 * (high - low) - mean) / std
        for value, mean, std in zip((0, 128, 255), normalisation.mean, normalisation.std, strict=True)
    ]
    assert normalise(pixel, normalisation).flatten().tolist() == pytest.approx(expected, rel=1e-5, abs=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_on_a_gpu():
    images = torch.randint(0, 256, (8, 9, 9, 3), dtype=torch.uint8)
    result = dihedral(normalise(images.cuda()), ALL.cuda())
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result.cpu(), dihedral(normalise(images), ALL), rtol=1e-5, atol=1e-6)


def _draws(count: int, columns: int) -> torch.Tensor:
    return torch.rand(count, columns, generator=torch.Generator().manual_seed(2))


def test_zoom_shows_a_window_of_the_image():
    """A ramp stays a ramp: it shows which part of the image each pixel was taken from."""
    size, draws = 32, _draws(50, 3)
    ramp = torch.arange(size).float().expand(len(draws), 1, size, size)
    across, down = zoom(ramp, draws), zoom(ramp.mT, draws)
    for number, (cut, left, top) in enumerate(draws.tolist()):
        side = 1 - 0.2 * cut
        for result, place in ((across[number, 0, 0], left), (down[number, 0, :, 0], top)):
            first = place * (1 - side) * size
            expected = [first + (pixel + 0.5) * side - 0.5 for pixel in range(size)]
            inside = np.clip(expected, 0, size - 1)
            np.testing.assert_allclose(result.numpy(), inside, atol=1e-3)


def test_zoom_takes_the_nearest_label_of_the_same_window():
    size, draws = 32, _draws(20, 3)
    masks = torch.arange(size, dtype=torch.uint8).expand(len(draws), size, size)
    result = zoom(masks, draws, "nearest")
    assert result.dtype == torch.uint8
    smooth = zoom(masks[:, None].float(), draws)[:, 0]
    assert float((result - smooth).abs().max()) <= 0.5 + 1e-3


def test_light_changes_contrast_then_brightness():
    images = torch.randint(0, 256, (6, 4, 4, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    draws = _draws(6, 2)
    result = change_light(images, draws)
    for before, (contrast, brightness), after in zip(images.numpy(), draws.tolist(), result, strict=True):
        mean, (c, b) = before.mean(), (0.8 + 0.4 * contrast, 0.8 + 0.4 * brightness)
        expected = [min(max(((v - mean) * c + mean) * b, 0), 255) for v in before.ravel().astype(float)]
        np.testing.assert_allclose(after.numpy().ravel(), expected, rtol=1e-4, atol=1e-3)


def test_augmentation_none_leaves_images_and_masks_as_they_are():
    images = torch.randint(0, 256, (8, 6, 6, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    masks = images[..., 0]
    found, targets = augment(images, masks, ALL, IMAGENET, "none")
    assert torch.equal(found, normalise(images))
    assert torch.equal(targets, masks)


def test_standard_augmentation_moves_masks_with_their_images():
    """Where the brightest pixels are the mask, they stay so: also zoomed, turned and in another light."""
    torch.manual_seed(0)
    masks = torch.zeros(8, 32, 32, dtype=torch.uint8)
    masks[:, 5:20, 8:30] = 1
    images = (masks * 200)[..., None].expand(-1, -1, -1, 3).contiguous()
    found, targets = augment(images, masks, ALL, IMAGENET, "standard")
    middle = (found.amax((1, 2, 3), keepdim=True) + found.amin((1, 2, 3), keepdim=True)) / 2
    shown = (found > middle).float().mean(1).round()
    assert float((shown != targets).float().mean()) < 0.02
    assert not torch.equal(targets, augment(images, masks, ALL, IMAGENET, None)[1])
