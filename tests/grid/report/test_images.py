"""Pictures of a report: colours of agreement, data URIs, the choice of examples."""

import base64

import cv2
import numpy as np
import pytest

from grid.report import images


def test_agreement_colours_each_kind_of_pixel() -> None:
    target = np.array([[0, 1, 1, 255], [2, 0, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 0, 1], [1, 1, 2, 0]], np.uint8)
    black = np.zeros((2, 4, 3), np.uint8)
    shown = images.agreement(black, target, predicted)
    correct, missed, wrong = (
        tuple(round(images.OPACITY * part) for part in colour)
        for colour in (images.CORRECT, images.MISSED, images.WRONG)
    )
    none = (0, 0, 0)
    expected = [[none, correct, missed, none], [wrong, wrong, correct, none]]
    assert shown.tolist() == [[list(pixel) for pixel in row] for row in expected]


@pytest.mark.parametrize(("size", "kind", "error"), [(64, "png", 0), (128, "jpeg", 12)])
def test_data_uri_holds_the_image(size: int, kind: str, error: int) -> None:
    y, x = np.mgrid[:size, :size]
    image = np.stack([x, y, x // 2 + y // 2], axis=2).astype(np.uint8)
    head, data = images.data_uri(image).split(",")
    assert head == f"data:image/{kind};base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[..., ::-1].astype(int) - image).max() <= error


def test_chosen_examples_show_every_class_before_any_twice() -> None:
    assert images.chosen(np.array([0, 0, 0, 1, 1, 1])) == [0, 1, 3, 4]
    assert images.chosen(np.arange(9)) == [0, 1, 2, 3, 4, 5]
    assert images.chosen(np.full(9, -1)) == [0, 1, 2]


def test_chosen_predictions_are_the_first_the_best_and_the_worst() -> None:
    target = np.zeros((5, 8, 8), np.uint8)
    target[:, :4] = 1
    prediction = target.copy()
    for number, missed in enumerate((1, 2, 0, 3, 1)):
        prediction[number, :missed] = 0
    kept = {"target": target, "prediction": prediction}
    assert images._chosen(kept) == {0: "", 1: "", 2: "best", 3: "worst"}  # type: ignore[arg-type]
    same = {"target": target, "prediction": target}
    assert images._chosen(same) == {0: "", 1: ""}  # type: ignore[arg-type]


def test_shrunk_keeps_small_images_and_averages_large_ones() -> None:
    small = np.full((images.SIDE, images.SIDE, 3), 7, np.uint8)
    assert images.shrunk(small) is small
    large = np.zeros((2 * images.SIDE, 2 * images.SIDE, 3), np.uint8)
    large[::2] = 200
    assert images.shrunk(large).shape == small.shape
    assert (images.shrunk(large) == 100).all()
