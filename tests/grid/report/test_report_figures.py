"""Geometry of figures and colours of pictures."""

import base64
from dataclasses import fields

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_cells import cells, made, trial

from grid.report import images, provenance
from grid.report.charts import panels, strokes
from medpt.protocol import TrainingProtocol

NUMBERS = st.floats(-1e4, 1e4, allow_nan=False)


@given(NUMBERS, st.floats(1e-3, 1e5), st.integers(2, 8))
def test_ticks_are_few_even_and_inside(low: float, span: float, most: int) -> None:
    found = panels.ticks(low, low + span, most)
    assert len(found) <= most
    slack = 1e-6 * span
    assert all(low - slack <= tick <= low + span + slack for tick in found)
    assert np.allclose(np.diff(found), np.diff(found)[:1] if len(found) > 1 else 0)


def test_ticks_of_a_usual_range() -> None:
    assert panels.ticks(0, 80) == [0, 20, 40, 60, 80]
    assert panels.ticks(-1.2, 2.3) == [-1, 0, 1, 2]


@given(st.integers(1, 500))
def test_thinning_keeps_the_ends_and_the_order(length: int) -> None:
    steps, values = panels.thinned(
        (np.arange(length, dtype=np.float64), np.arange(length, dtype=np.float64) ** 2)
    )
    assert len(steps) <= panels.POINTS
    assert (steps[0], steps[-1]) == (0, length - 1)
    assert (np.diff(steps) > 0).all()
    assert (values == steps**2).all()


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=6), min_size=1, max_size=4))
def test_average_is_the_mean_where_every_seed_still_trained(series: list[list[float]]) -> None:
    lines: list[panels.Line] = [
        (np.arange(10.0, 10 * len(values) + 1, 10.0), np.array(values)) for values in series
    ]
    steps, means = panels.average(lines)
    shortest = min(map(len, series))
    assert steps.tolist() == [10.0 * n for n in range(1, shortest + 1)]
    assert means == pytest.approx([np.mean([v[n] for v in series]) for n in range(shortest)])


def test_average_interpolates_steps_of_other_seeds() -> None:
    lines = [
        (np.array([0.0, 10.0]), np.array([0.0, 1.0])),
        (np.array([0.0, 5.0, 10.0]), np.array([0.0, 1, 1])),
    ]
    steps, means = panels.average(lines)
    assert steps.tolist() == [0, 5, 10]
    assert means.tolist() == [0, 0.75, 1]


def rows(digest: str) -> list[dict[str, float]]:
    return [
        {"step": 10, "train_loss": 1.0, "val_miou": 0.4},
        {"step": 20, "train_loss": 1.0, "val_miou": 0.6},
    ]


def test_curves_stay_inside_their_box_and_rise_upwards() -> None:
    (panel,) = panels.panels(made("random", [0.5, 0.6]), rows, most=9)
    (curve,) = panel.curves
    points = [tuple(map(float, pair.split(","))) for pair in curve.mean.split()]
    assert all(panels.LEFT <= x <= panels.WIDTH and 0 <= y <= panels.HEIGHT for x, y in points)
    assert points[1][1] < points[0][1]
    assert len(curve.seeds) == 2


def test_a_single_evaluation_is_a_dot_on_the_page_and_in_the_file() -> None:
    (panel,) = panels.panels(made("random", [0.5]), lambda digest: rows(digest)[:1], most=9)
    (curve,) = panel.curves
    assert curve.lone == tuple(curve.mean.split(","))
    (dots,) = strokes.from_panel(panel).dots
    assert dots.points == ((float(curve.lone[0]), float(curve.lone[1])),)
    (longer,) = panels.panels(made("random", [0.5]), rows, most=9)
    assert longer.curves[0].lone == ()
    assert strokes.from_panel(longer).dots == ()


def test_no_curve_without_validation() -> None:
    assert panels.panels(made("random", [0.5]), lambda digest: [{"step": 5, "train_loss": 1.0}], most=9) == []


def test_panels_are_limited() -> None:
    several = cells(*(trial(0, 0.5, architecture=name) for name in ("unet", "cenet", "etnet")))
    assert len(panels.panels(several, rows, most=2)) == 2


def test_dots_are_differences_to_the_mean_of_random() -> None:
    (plot,) = panels.dot_plots([*made("random", [0.5, 0.6]), *made("ISIC2019", [0.7, 0.6])])
    ((_, (random, trained)),) = plot.groups
    assert random.mean[0] == plot.zero
    assert trained.mean[1] == "+10.00"
    assert [text for _, text in trained.seeds] == ["seed 0: 70.00 (+15.00)", "seed 1: 60.00 (+5.00)"]
    right, left = (place for place, _ in trained.seeds)
    assert 100 > right > trained.mean[0] > left > plot.zero > 0


def test_no_dots_without_random_or_without_anything_else() -> None:
    assert panels.dot_plots(made("ISIC2019", [0.7])) == []
    assert panels.dot_plots([*made("random", [], 2), *made("ISIC2019", [0.7])]) == []
    assert panels.dot_plots(made("random", [0.7, 0.6])) == []


def test_signs() -> None:
    assert [panels.signed(value) for value in (1.3, -0.42, 0.001, -0.001)] == [
        "+1.30",
        "−0.42",
        "0.00",
        "0.00",
    ]


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
def test_data_uris_hold_the_image(size: int, kind: str, error: int) -> None:
    y, x = np.mgrid[:size, :size]
    image = np.stack([x, y, x // 2 + y // 2], axis=2).astype(np.uint8)
    head, data = images.data_uri(image).split(",")
    assert head == f"data:image/{kind};base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded[..., ::-1].astype(int) - image).max() <= error


def test_examples_show_every_class_once_before_any_twice() -> None:
    assert images.chosen(np.array([0, 0, 0, 1, 1, 1])) == [0, 1, 3, 4]
    assert images.chosen(np.arange(9)) == [0, 1, 2, 3, 4, 5]
    assert images.chosen(np.full(9, -1)) == [0, 1, 2]


def test_unset_protocol_fields_have_a_text() -> None:
    unset = {item.name for item in fields(TrainingProtocol) if getattr(TrainingProtocol(), item.name) is None}
    assert set(provenance.AUTOMATIC) == unset
