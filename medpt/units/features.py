"""The unit `features`: the features that a frozen encoder, or none, computes of a cohort's patches."""

import numpy as np
from numpy.typing import NDArray

from medpt.files import replacing
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET
from medpt.specs import HANDCRAFTED, Features
from medpt.survival.cohort import Cohort
from medpt.survival.features import extract, settling_rows
from medpt.survival.handcrafted import describe
from medpt.survival.split import split_patients
from medpt.survival.study import TRAIN
from medpt.units.base import Inputs, Job

FEATURES = "features.npy"


def run(spec: Features, inputs: Inputs, job: Job) -> dict[str, float]:
    """Compute the features of all patches of a cohort.

    Writes features.npy: float16 (n, d) of the encoder, or float32 (n, 40) of hand-crafted features. The
    metrics are n and d.
    """
    cohort = inputs.cohort(spec.data)
    handcrafted = spec.backbone == HANDCRAFTED
    values = describe(cohort.images) if handcrafted else _extract(spec, cohort, inputs, job.device)
    with replacing(job.folder / FEATURES) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    return {"patches": float(len(values)), "dimensions": float(values.shape[1])}


def _extract(spec: Features, cohort: Cohort, inputs: Inputs, device: str) -> NDArray[np.floating]:
    """The batch norm of random weights gets its statistics from patches of the training patients."""
    weights = inputs.weights(spec)
    split = split_patients(cohort.patients, cohort.time, cohort.event, spec.seed)
    training = np.flatnonzero((split == TRAIN)[cohort.patient])
    settle_on = settling_rows(training, spec.seed, spec.settling == "shuffled") if weights is None else None
    encoder = build_encoder_with(spec.backbone, weights, spec.seed)
    return extract(
        encoder, cohort.images, device, settle_on=settle_on, normalisation=spec.normalisation or IMAGENET
    )
