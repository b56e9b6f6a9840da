"""Slides with a planted risk, to C-indices: models find it, and nothing in shuffled times; leaks show."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench import survival
from bench.survival import Row, main, measure, prepare, shuffled
from medpt.survival import forest
from medpt.survival.cohort import Cohort
from medpt.survival.study import Prediction, Study


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return prepare("TCGA-GBM", tmp_path_factory.mktemp("survival"), 80)


@pytest.mark.slow
def test_models_without_a_network_find_what_is_planted_and_only_that(cohort: Cohort, tmp_path: Path) -> None:
    chosen = {"cox": {}, "rsf": {"trees": 100}, "boostci": {"max_steps": 100}}
    rows = measure(cohort, chosen, seeds=(0, 1), shuffles=5, folder=tmp_path)
    assert [row.model for row in rows] == list(chosen)
    assert all(row.passed for row in rows), "\n".join(map(str, rows))


@pytest.mark.slow
def test_attention_over_features_finds_what_is_planted_and_only_that(cohort: Cohort, tmp_path: Path) -> None:
    chosen = {"deepattnmisl": {"k": 3}}  # the phantom's textures
    (row,) = measure(cohort, chosen, seeds=(0, 1), shuffles=2, folder=tmp_path)
    assert row.passed, str(row)


def test_shuffling_deals_the_follow_up_out_anew_and_nothing_else(cohort: Cohort) -> None:
    mixed = shuffled(cohort, 1, 2)
    assert Counter(zip(mixed.time, mixed.event, strict=True)) == Counter(
        zip(cohort.time, cohort.event, strict=True)
    )
    assert (mixed.time != cohort.time).mean() > 0.9
    assert mixed.patients == cohort.patients
    np.testing.assert_array_equal(mixed.clinical["age"], cohort.clinical["age"])
    np.testing.assert_array_equal(shuffled(cohort, 1, 2).time, mixed.time)
    assert (shuffled(cohort, 1, 3).time != mixed.time).any()


def test_model_that_sees_the_times_of_test_patients_is_caught(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(study: Study, options: forest.Options) -> Prediction:
        return Prediction(-study.time)

    monkeypatch.setattr(forest, "predict", leaking)
    (row,) = measure(cohort, {"rsf": {}}, seeds=(0,), shuffles=2, folder=tmp_path)
    assert min(row.planted + row.shuffled) == 1
    assert not row.passed


@pytest.mark.parametrize(
    ("model", "planted", "shuffled", "passed"),
    [
        ("km", (0.6, 0.81), (0.1, 0.9), True),
        ("km", (0.6, 0.79), (0.5, 0.5), False),
        ("km", (0.9, 0.9), (0.62, 0.6), False),
        ("km", (0.9, 0.9), (0.38, 0.4), False),
        ("cox", (0.45, 0.55), (0.5, 0.5), True),
        ("cox", (0.7, 0.9), (0.5, 0.5), False),
    ],
)
def test_marks_are_of_means(
    model: str, planted: tuple[float, ...], shuffled: tuple[float, ...], passed: bool
) -> None:
    row = Row(model, planted, shuffled)
    assert row.passed is passed
    assert ("yes" if passed else "NO") in str(row)


def test_command_fails_where_a_mark_is_missed(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survival, "prepare", lambda *_: cohort)
    arguments = ["--models", "rsf", "--seeds", "0", "--shuffles", "5"]
    monkeypatch.setattr(forest, "predict", lambda study, _: Prediction(np.zeros(len(study.time))))
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "| rsf | 0.500 (0.50 to 0.50) | 0.500 (0.50 to 0.50) | NO |" in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", survival.COHORTS)
def test_every_model_meets_its_marks(name: str) -> None:
    """20 minutes of one core each."""
    assert main(["--cohort", name]) == 0
