"""Masks of users: class numbers, grey values and colours, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_data import MASKED, RNG, complaints, write_card, write_picture

from medpt.data import open_dataset
from medpt.errors import InputError


def masked(tmp_path: Path, mask: np.ndarray | Image.Image, suffix: str = ".png", **facts: str) -> Path:
    top = write_card(tmp_path, MASKED | facts)
    shape = (*np.asarray(mask).shape[:2], 3)
    write_picture(top / "images" / "1.jpg", RNG.integers(0, 256, shape, np.uint8))
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(top / "masks" / f"1{suffix}")
    return top


IDS = RNG.integers(0, 2, (5, 7)).astype(np.uint8)
IDS[0, 0], IDS[0, 1] = 0, 1


def only_mask(top: Path) -> np.ndarray:
    dataset = open_dataset("Clinic", top)
    return dataset.mask(dataset.records[0])


def test_masks_of_class_numbers_are_unchanged(tmp_path: Path) -> None:
    assert np.array_equal(only_mask(masked(tmp_path, IDS)), IDS)


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_masks_of_grey_values_become_class_numbers(mode: str, tmp_path: Path) -> None:
    grey = np.where(IDS == 1, 255, 0).astype(np.uint8)
    grey[1, 1] = 100
    values = "{vessel: 255, background: 0, ignore: 100}"
    found = only_mask(masked(tmp_path, Image.fromarray(grey).convert(mode), values=values))
    expected = IDS.copy()
    expected[1, 1] = 255
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", ".png"), ("P", ".gif"), ("RGBA", ".tif")])
def test_masks_of_colours_become_class_numbers(mode: str, suffix: str, tmp_path: Path) -> None:
    colours = np.array([[10, 20, 30], [200, 0, 7]], np.uint8)[IDS]
    picture_ = Image.fromarray(colours)
    picture_ = picture_.quantize(4) if mode == "P" else picture_.convert(mode)
    values = "{background: [10, 20, 30], vessel: [200, 0, 7]}"
    assert np.array_equal(only_mask(masked(tmp_path, picture_, suffix, values=values)), IDS)


@pytest.mark.parametrize(
    ("pixels", "values", "message"),
    [
        (IDS, "{background: 0, vessel: 255}", "1 values that no class has, such as 1; accepted: 0, 255"),
        (np.stack([IDS] * 2 + [IDS * 2], 2), "{background: 0, vessel: 1}", "a mask in colour"),
        (
            np.stack([IDS] * 2 + [IDS * 2], 2),
            "{background: [0, 0, 0], vessel: [1, 1, 1]}",
            "such as [1, 1, 2]; accepted: [0, 0, 0], [1, 1, 1]",
        ),
    ],
)
def test_mask_values_without_class_are_refused(
    pixels: np.ndarray, values: str, message: str, tmp_path: Path
) -> None:
    top = masked(tmp_path, pixels, values=values)
    with pytest.raises(InputError) as caught:
        only_mask(top)
    assert message in str(caught.value)
    assert str(top / "masks" / "1.png") in str(caught.value)


def test_masks_below_the_images_are_not_read_as_images(tmp_path: Path) -> None:
    top = write_card(tmp_path, MASKED | {"images": ".", "masks": "masks"})
    write_picture(top / "1.png")
    write_picture(top / "masks" / "1.png", IDS)
    assert [(r.image_path, r.mask_path) for r in open_dataset("Clinic", top)] == [("1.png", "masks/1.png")]


@pytest.mark.parametrize(
    "facts",
    [
        {"classes": "[vessel, background]", "values": "{background: 0, vessel: 255}"},
        {"classes": "[vessel, Background]"},
        {"classes": "[vessel, rest]", "values": "{rest: 0, vessel: 255}"},
        {"classes": "[vessel, rest]", "values": "{rest: [0, 0, 0], vessel: [255, 0, 0]}"},
    ],
)
def test_background_has_to_be_named_first(facts: dict[str, str], tmp_path: Path) -> None:
    top = write_card(tmp_path, MASKED | facts)
    write_picture(top / "images" / "1.png")
    assert any("is the background, and `vessel` is named before it" in problem for problem in complaints(top))


def indexed(pixels: np.ndarray, colours: list[int]) -> Image.Image:
    image = Image.fromarray(pixels).convert("P")
    image.putdata(pixels.ravel().tolist())
    image.putpalette(colours)
    return image


@pytest.mark.parametrize("second", ["as the first", "sorted otherwise", "with `values`"])
def test_palettes_that_contradict_each_other_are_noted(second: str, tmp_path: Path) -> None:
    values = {"values": "{background: 0, vessel: 255}"} if second == "with `values`" else {}
    black_first, white_first = [0, 0, 0, 255, 255, 255], [255, 255, 255, 0, 0, 0]
    top = masked(tmp_path, indexed(IDS, black_first), **values)
    write_picture(top / "images" / "2.jpg", RNG.integers(0, 256, (5, 7, 3), np.uint8))
    same = second == "as the first"
    indexed(IDS if same else 1 - IDS, black_first if same else white_first).save(top / "masks" / "2.png")
    notes = [note for note in open_dataset("Clinic", top).notes if "its palette" in note]
    assert len(notes) == (second == "sorted otherwise")
    assert all("2.png: the colour [255, 255, 255] is number 0 of its palette, and 1 in" in n for n in notes)
