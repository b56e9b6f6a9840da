"""What every survival model is given, and what it returns.

A study is one cohort with one split and one initialization. Models fit on the training patients, choose on
the validation patients, and return a risk for every patient. They never read the follow-up of test patients.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.normalisation import IMAGENET, Normalisation

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class Study:
    """P patients with follow-up times and event indicators, and n patches of their slides."""

    patients: tuple[str, ...]
    time: NDArray[np.float64]  # (P,) days, above 0
    event: NDArray[np.bool_]  # (P,) True: died; False: right-censored
    split: NDArray[np.int8]  # (P,) TRAIN, VALIDATION or TEST
    patient: NDArray[np.int32]  # (n,) row of the patient that a patch belongs to
    images: Any = None  # uint8 (n, S, S, 3) RGB; an array, or what reads rows of one on disk
    features: NDArray[np.float16] | None = None  # (n, d) of the frozen encoder
    handcrafted: NDArray[np.float32] | None = None  # (n, 40), medpt/survival/handcrafted.py
    clinical: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)  # (P,) each, NaN: unknown
    encoder: Callable[[], Any] | None = None  # a new torch encoder with the weights under test
    normalisation: Normalisation = IMAGENET  # of these weights
    seed: int = 0
    device: str = "cpu"

    def rows(self, split: int) -> NDArray[np.intp]:
        """Return the rows of the patients of TRAIN, VALIDATION or TEST."""
        return np.flatnonzero(self.split == split)

    @cached_property
    def bags(self) -> tuple[NDArray[np.intp], ...]:
        """The patches of each patient, in their order; empty if a patient has none."""
        order = np.argsort(self.patient, kind="stable")
        return tuple(np.split(order, np.searchsorted(self.patient[order], np.arange(1, len(self.patients)))))


@dataclass(frozen=True)
class Prediction:
    """The risk of every patient (P,), higher = shorter survival, and facts about the fit to record."""

    risk: NDArray[np.float64]
    facts: Mapping[str, float] = field(default_factory=dict)
