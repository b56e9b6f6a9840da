"""Scores are averaged over the images of a patient; one image a patient changes nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from medpt.tasks.patients import mean_by_patient


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(0, 99), st.booleans())
def test_mean_by_patient_equals_a_loop_over_patients(names: list[str], seed: int, findings: bool) -> None:
    rng, patients = np.random.default_rng(seed), np.array(names)
    scores = rng.random((len(names), 3))
    of_patient = {name: rng.integers(0, 2, 3) if findings else rng.integers(0, 3) for name in names}
    labels = np.array([of_patient[name] for name in names])
    found, known = mean_by_patient(scores, labels, patients)
    for row, name in enumerate(sorted(set(names))):
        own = [score for score, patient in zip(scores, names, strict=True) if patient == name]
        assert_allclose(found[row], np.mean(own, axis=0))
        assert_array_equal(known[row], of_patient[name])
    assert len(found) == len(set(names))


def test_one_image_a_patient_keeps_every_bit() -> None:
    scores = np.random.default_rng(0).random((9, 2)).astype(np.float32)
    found, labels = mean_by_patient(scores, np.arange(9), np.arange(9))
    assert found.dtype == np.float32
    assert_array_equal(found, scores)
    assert_array_equal(labels, np.arange(9))
