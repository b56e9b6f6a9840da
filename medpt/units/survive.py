"""The unit `survive`: one survival model, fitted and tested on one split of a cohort's patients.

The seed of a trial draws its split, so that all models and initializations of a seed see the same patients.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.files import write_arrays, write_json
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET
from medpt.specs import Survive
from medpt.survival.censoring import weigh
from medpt.survival.evaluate import evaluate, require_finite, risk_groups, risk_metrics, weighted_metrics
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.survival.split import split_patients
from medpt.survival.study import TEST, TRAIN, Study
from medpt.units.base import ITEMS, Files, Inputs, Job, Tested

RISKS, CURVES = "risks.npz", "curves.json"


def run(spec: Survive, inputs: Inputs, job: Job) -> dict[str, float]:
    """Fit a survival model on the training patients and test it on all test patients.

    A patient without a patch in focus gets the median risk of the training patients.

    Writes risks.npz (`patients`, `time` in days, `event`, `part`, `risk`; (P,) each), items.npz (`time`,
    `event` and `risk` of the test patients, without their names, their `weight` and `error` of
    medpt.survival.censoring.Weighted; `trained`, the number of the others) and
    curves.json (medpt.survival.evaluate.RiskGroups; `logrank_p` is null where it is not defined). The metrics
    are those of `evaluate` and, as `fit_*`, facts about the fit; values that are not finite are excluded.
    """
    study = build_study(spec, inputs, job.device)
    prediction = SURVIVAL_MODELS[spec.model].predict(study, spec.options)
    risks = {
        "patients": np.array(study.patients),
        "time": study.time,
        "event": study.event,
        "part": study.split,
        "risk": prediction.risk,
    }
    write_arrays(job.folder / RISKS, risks)
    tested, weighted = study.rows(TEST), weigh(study, require_finite(prediction.risk))
    items = {name: risks[name][tested] for name in ("time", "event", "risk")}
    items |= {"weight": weighted.weight, "error": weighted.error}
    write_arrays(job.folder / ITEMS, items | {"trained": np.array(len(study.patients) - len(tested))})
    write_json(job.folder / CURVES, _curves(study, prediction.risk))
    facts = {f"fit_{name}": value for name, value in prediction.facts.items()}
    measured: Mapping[str, float] = dict(evaluate(study, prediction.risk, weighted)) | facts
    return {name: float(value) for name, value in measured.items() if math.isfinite(value)}


def stored_metrics(spec: Survive, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that items.npz determines without random numbers; undefined ones are excluded."""
    if not (items := files.get(ITEMS)):
        return {}
    found = dict(risk_metrics(*(items[name] for name in ("time", "event", "risk"))))
    if "weight" in items and "error" in items:
        found |= weighted_metrics(
            **{name: items[name] for name in ("time", "event", "risk", "weight", "error")}
        )
    return {ITEMS: {name: value for name, value in found.items() if math.isfinite(value)}}


def _curves(study: Study, risk: NDArray[np.float64]) -> dict[str, Any]:
    groups = asdict(risk_groups(study, risk))
    return groups | {"logrank_p": groups["logrank_p"] if math.isfinite(groups["logrank_p"]) else None}


def build_study(spec: Survive, inputs: Inputs, device: str) -> Study:
    """Return what the model is given; patches are in focus by a threshold from the training patients."""
    needs, cohort = SURVIVAL_MODELS[spec.model].inputs, inputs.cohort(spec.data)
    split = split_patients(cohort.patients, cohort.time, cohort.event, spec.seed)
    rows = cohort.valid(split == TRAIN)
    given: dict[str, Any] = {}
    if spec.features:
        given["features" if needs.features else "handcrafted"] = inputs.features(spec.features)[rows]
    if needs.pixels:
        given["images"] = ImageRows(cohort.images, rows)
    if needs.network:
        given["encoder"] = partial(build_encoder_with, spec.backbone, inputs.weights(spec), spec.seed)
    return Study(
        patients=cohort.patients,
        time=cohort.time,
        event=cohort.event,
        split=split,
        patient=cohort.patient[rows],
        clinical=cohort.clinical,
        seed=spec.seed,
        device=device,
        normalisation=spec.normalisation or IMAGENET,
        **given,
    )


class ImageRows:
    """Some rows of images (n, S, S, 3) on disk, read when they are indexed; all of them exceed the memory."""

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.intp]) -> None:
        self.images, self.rows = images, rows
        self.shape = (len(rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        return self.images[self.rows[places]]
