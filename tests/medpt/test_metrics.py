import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import roc_auc_score

from medpt import metrics
from medpt.errors import InputError


def naive_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    pairs = [(p, n) for p in scores[positive] for n in scores[~positive]]
    return float(np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs]))


def naive_ious(
    prediction: np.ndarray, target: np.ndarray, num_classes: int, ignore: int
) -> list[float | None]:
    ious: list[float | None] = []
    for k in range(num_classes):
        inter = union = 0
        for p, t in zip(prediction.ravel(), target.ravel(), strict=True):
            if t != ignore:
                inter += p == k and t == k
                union += p == k or t == k
        ious.append(inter / union if union else None)
    return ious


def mean(values: list[float | None]) -> float:
    kept = [v for v in values if v is not None]
    return sum(kept) / len(kept) if kept else float("nan")


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, k = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    levels = st.sampled_from([0.0, 0.1, 0.1 + 1e-9, 0.5, 0.9, 1.0])
    return draw(hnp.arrays(np.float64, (n, k), elements=levels)), draw(
        hnp.arrays(np.int64, n, elements=st.integers(0, k - 1))
    )


@st.composite
def segmented(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    k, shape = draw(st.integers(2, 5)), (draw(st.integers(1, 3)), 3, 4)
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, k - 1)))
    labels = st.one_of(st.integers(0, k - 1), st.just(255))
    return prediction, draw(hnp.arrays(np.uint8, shape, elements=labels)), k


@given(scored())
def test_micro_auc_is_the_count_of_ordered_pairs(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    positive = labels[:, None] == np.arange(scores.shape[1])
    assert metrics.micro_auc(scores, labels) == pytest.approx(
        naive_auc(scores.ravel(), positive.ravel()), abs=1e-12
    )


@given(scored())
def test_macro_auc_averages_the_classes_with_both_sides(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    sides = [labels == k for k in range(scores.shape[1])]
    areas = [naive_auc(scores[:, k], s) for k, s in enumerate(sides) if s.any() and not s.all()]
    expected = np.mean(areas) if areas else np.nan
    assert metrics.macro_auc(scores, labels) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_auc_agrees_with_scikit_learn_on_many_tied_scores() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 4000)
    scores = np.round(rng.random((4000, 7)) + (labels[:, None] == np.arange(7)), 2)
    one_hot = np.eye(7)[labels]
    assert metrics.micro_auc(scores, labels) == pytest.approx(roc_auc_score(one_hot, scores, average="micro"))
    assert metrics.macro_auc(scores, labels) == pytest.approx(roc_auc_score(one_hot, scores, average="macro"))


@given(scored())
def test_auc_ignores_increasing_maps_and_turns_with_the_sign(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    area = metrics.micro_auc(scores, labels)
    assert metrics.micro_auc(scores * 4 - 1, labels) == area
    assert metrics.micro_auc(-scores, labels) == pytest.approx(1 - area)


def test_absent_classes_do_not_stop_micro_auc() -> None:
    assert metrics.micro_auc(np.eye(3)[[1, 1]], np.array([1, 1])) == 1.0


def test_undefined_areas_are_nan() -> None:
    assert np.isnan(metrics.micro_auc(np.ones((4, 1)), np.zeros(4, int)))
    assert np.isnan(metrics.micro_auc(np.zeros((0, 3)), np.zeros(0, int)))
    assert np.isnan(metrics.macro_auc(np.ones((4, 2)), np.zeros(4, int)))
    assert np.isnan(metrics.accuracy(np.zeros((0, 3)), np.zeros(0, int)))


def test_scores_that_are_not_numbers_make_every_metric_nan() -> None:
    scores, labels = np.array([[0.2, np.nan], [0.1, 0.9], [0.9, 0.1]]), np.array([0, 1, 0])
    for metric in (metrics.micro_auc, metrics.macro_auc, metrics.accuracy):
        assert np.isnan(metric(scores, labels))


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array([-1, 0]), np.array([0, 1, 1])])
def test_wrong_labels_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputError):
        metrics.micro_auc(np.ones((2, 2)), labels)


def test_accuracy_counts_the_highest_scores() -> None:
    assert metrics.accuracy(
        np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]), np.array([1, 1, 0])
    ) == pytest.approx(2 / 3)


@given(segmented())
def test_overlaps_against_counting_by_hand(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    prediction, target, k = case
    ious = naive_ious(prediction, target, k, 255)
    dices = [2 * i / (1 + i) if i is not None else None for i in ious]
    assert metrics.mean_iou(prediction, target, k) == pytest.approx(mean(ious), nan_ok=True)
    assert metrics.dice(prediction, target, k) == pytest.approx(mean(dices[1:]), nan_ok=True)


@given(segmented())
def test_confusion_agrees_with_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    prediction, target, k = case
    kept = target != 255
    if kept.any():
        expected = sklearn_confusion(target[kept], prediction[kept], labels=list(range(k)))
        np.testing.assert_array_equal(metrics.confusion_matrix(prediction, target, k), expected)


@given(segmented())
def test_prediction_equal_to_the_target_scores_one(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    prediction, _, k = case
    assert metrics.mean_iou(prediction, prediction, k) == 1.0


def test_all_pixels_ignored_is_nan() -> None:
    target = np.full((1, 2, 2), 255, np.uint8)
    assert np.isnan(metrics.mean_iou(np.zeros_like(target), target, 2))


def test_predictions_of_255_are_refused_also_where_the_target_is_ignored() -> None:
    mask = np.eye(4, dtype=np.uint8)[None] * np.uint8(255)
    with pytest.raises(InputError, match=r"prediction 0\.\.255 outside the classes 0\.\.1"):
        metrics.mean_iou(mask, mask, 2)


def test_another_ignore_index_counts_255_as_an_error() -> None:
    target = np.array([[[0, 7]]])
    counts = metrics.confusion_matrix(np.zeros_like(target), target, 2, ignore_index=7)
    assert counts.tolist() == [[1, 0], [0, 0]]
    assert metrics.mean_iou(np.zeros_like(target), target, 2, ignore_index=7) == 1
    with pytest.raises(InputError, match=r"target 0\.\.7 outside the classes 0\.\.1"):
        metrics.confusion_matrix(np.zeros_like(target), target, 2)


def test_differing_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="differ in shape"):
        metrics.mean_iou(np.zeros((1, 2, 2), int), np.zeros((1, 2, 3), int), 2)


@pytest.mark.parametrize("values", [[0.9, 0.1], [0.5, 1.0], [np.nan, 1], ["a", "b"], [np.inf, 0]])
@pytest.mark.parametrize("swapped", [False, True])
def test_values_that_are_no_whole_numbers_are_refused(values: list[object], swapped: bool) -> None:
    pair = [np.array([values]), np.array([[0, 1]])]
    for metric in (metrics.mean_iou, metrics.dice, metrics.confusion_matrix):
        with pytest.raises(InputError, match="accepted: whole numbers"):
            metric(*(pair[::-1] if swapped else pair), 2)
    assert metrics.mean_iou(np.array([[0.0, 1.0]]), np.array([[0, 1]]), 2) == 1
    with pytest.raises(InputError, match="accepted: whole numbers"):
        metrics.micro_auc(np.zeros((2, 2)), np.array(values))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_quadratic_kappa_compares_squared_distances_with_those_of_all_pairs(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((30, classes)), rng.integers(0, classes, 30)
    predicted = scores.argmax(1)
    found = np.mean([(a - b) ** 2 for a, b in zip(labels, predicted, strict=True)])
    expected = np.mean([(a - b) ** 2 for a in labels for b in predicted])
    assert metrics.quadratic_kappa(scores, labels) == pytest.approx(1 - found / expected)


def test_quadratic_kappa_of_one_grade_is_undefined() -> None:
    assert np.isnan(metrics.quadratic_kappa(np.array([[0.9, 0.1], [0.8, 0.2]]), np.zeros(2, int)))
    assert np.isnan(metrics.quadratic_kappa(np.empty((0, 2)), np.empty(0, int)))


def test_masked_values_are_refused() -> None:
    scores = np.ma.masked_array(np.eye(2), mask=[[1, 0], [0, 0]])
    classes = np.ma.masked_array([[0, 1]], mask=[[0, 1]])
    for call in (
        lambda: metrics.micro_auc(scores, [0, 1]),
        lambda: metrics.finding_aucs(scores, np.eye(2)),
        lambda: metrics.mean_iou(classes, np.array([[0, 1]]), 2),
        lambda: metrics.mean_iou(np.array([[0, 1]]), classes, 2),
    ):
        with pytest.raises(InputError, match="masked values"):
            call()
    assert metrics.micro_auc(np.ma.masked_array(np.eye(2)), [0, 1]) == 1
