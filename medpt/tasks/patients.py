"""Scores by patient: the mean over a patient's images, before any metric is taken.

A card asks for it with `evaluate_by: patient`, where a patient has several images and one diagnosis.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_by_patient(
    scores: NDArray[Any], labels: NDArray[Any], patients: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return scores (P, K) and labels (P,) or (P, K) of P patients, sorted by patient.

    `scores` (N, K), `labels` and `patients` (N,) are those of images. A patient's images have equal labels,
    which medpt.data.label_counts checks.
    """
    _, first, patient = np.unique(patients, return_index=True, return_inverse=True)
    sums = np.zeros((len(first), scores.shape[1]))
    np.add.at(sums, patient, scores)
    return (sums / np.bincount(patient)[:, None]).astype(scores.dtype), labels[first]
