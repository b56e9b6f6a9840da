"""The unit `filters`: the first layer's filters before and after pre-training (paper, Figure 6b)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.analysis.activations import first_filters
from medpt.analysis.filters import (
    anisotropy,
    cosine,
    difference,
    panel,
    patterns,
    relative_change,
    spectrum_centroid,
)
from medpt.analysis.gabor import fit, gabor_score
from medpt.files import write_arrays
from medpt.models.weights import build_encoder_with
from medpt.specs import Filters
from medpt.units.base import Files, Inputs, Job, Tested

FILTERS = "filters.npz"
WHEN = ("before", "after")


def run(spec: Filters, inputs: Inputs, job: Job) -> dict[str, float]:
    """Describe the first convolution before and after pre-training: kernels, panels and scores.

    Writes filters.npz: `before`, `after` float64 (m, 3, k, k); `before gabor`, `after gabor` (m,), 1 where a
    filter counts as a Gabor; the pictures `before panel`, `after panel` and `difference panel`, uint8
    (H, W, 3). The metrics are those of medpt.analysis.filters and gabor that are finite.
    """
    states = inputs.initial_weights(spec), inputs.weights(spec)
    pair = [first_filters(build_encoder_with(spec.backbone, state)) for state in states]
    arrays: dict[str, NDArray[Any]] = {"difference panel": difference(*pair)}
    metrics = dict[str, float]()
    for when, kernels in zip(WHEN, pair, strict=True):
        gabors = fit(patterns(kernels)).gabor.astype(np.float64)
        arrays |= {when: kernels, f"{when} panel": panel(kernels), f"{when} gabor": gabors}
        metrics |= {f"{name}_{when}": value for name, value in _gabor_scores(kernels, spec.seed).items()}
    write_arrays(job.folder / FILTERS, arrays)
    return _changes(arrays) | _finite(metrics)


def stored_metrics(spec: Filters, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that filters.npz determines, without those of Gabor fits, which take a minute."""
    return {FILTERS: _changes(files[FILTERS])} if FILTERS in files else {}


def _changes(arrays: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    pair = [arrays[when] for when in WHEN]
    metrics = {"relative_change": relative_change(*pair), "cosine": cosine(*pair)}
    for when, kernels in zip(WHEN, pair, strict=True):
        metrics |= {f"spectrum_centroid_{when}": spectrum_centroid(kernels)}
        metrics |= {f"anisotropy_{when}": anisotropy(kernels)}
    return _finite(metrics)


def _gabor_scores(kernels: NDArray[np.float64], seed: int) -> dict[str, float]:
    score = gabor_score(kernels, seed)
    return {
        "gabor": score.published,
        "gabor_fraction": score.fraction,
        "gabor_control": score.control,
        "gabor_r2": score.mean_r2,
    }


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
