"""Units of work on cohorts: the features of all patches; one survival model for one split of the patients.

The seed of a trial draws its split, so that all models and initializations of a seed see the same patients.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.files import replacing, write_json
from medpt.identity import stream_seed
from medpt.models.registry import build_encoder
from medpt.models.weights import load_encoder
from medpt.specs import HANDCRAFTED, Features, Survive
from medpt.survival import models
from medpt.survival.cohort import Cohort
from medpt.survival.evaluate import evaluate, risk_groups
from medpt.survival.features import extract
from medpt.survival.handcrafted import describe
from medpt.survival.needs import NEEDS
from medpt.survival.split import parts
from medpt.survival.study import TRAIN, Study

FEATURES, RISKS, CURVES = "features.npy", "risks.npz", "curves.json"

Weights = Mapping[str, Tensor]


def run_features(
    spec: Features, cohort: Cohort, folder: Path, initial: Weights | None, device: str = "cpu"
) -> dict[str, float]:
    """Writes features.npy: float16 (n, d) of the encoder, or float32 (n, 40) without one, patch by patch.

    A random encoder's batch norm is settled on patches of the training patients of the same seed's split.
    """
    if spec.backbone == HANDCRAFTED:
        values: NDArray[np.floating] = describe(cohort.images)
    else:
        encoder = new_encoder(spec.backbone, initial, spec.seed)
        training = np.flatnonzero((split(cohort, spec.seed) == TRAIN)[cohort.patient])
        settle_on = training if initial is None else None
        values = extract(encoder, cohort.images, device, settle_on=settle_on, seed=spec.seed)
    with replacing(folder / FEATURES) as temporary, temporary.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    return {"patches": float(len(values)), "dimensions": float(values.shape[1])}


def run(
    spec: Survive,
    cohort: Cohort,
    features: NDArray[np.floating] | None,
    folder: Path,
    initial: Weights | None,
    device: str = "cpu",
) -> dict[str, float]:
    """Fits on the training patients, and measures on the test patients: all of them, whatever the model.

    One without a patch in focus counts with the median risk of the training patients.

    Writes risks.npz (`patients`, `time` in days, `event`, `part`, `risk`; (P,) each) and curves.json
    (medpt.survival.evaluate.RiskGroups; `logrank_p` null where there is none). Metrics are those of
    `evaluate`, and what the fit is worth recording as `fit_*`; what is not a number is left out.
    """
    study = study_of(spec, cohort, features, initial, device)
    prediction = models.SURVIVAL_MODELS[spec.model](study, spec.options)
    arrays = {
        "patients": np.array(study.patients),
        "time": study.time,
        "event": study.event,
        "part": study.part,
        "risk": prediction.risk,
    }
    with replacing(folder / RISKS) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    groups = asdict(risk_groups(study, prediction.risk))
    known = math.isfinite(groups["logrank_p"])
    write_json(folder / CURVES, groups | {"logrank_p": groups["logrank_p"] if known else None})
    facts = {f"fit_{name}": value for name, value in prediction.facts.items()}
    measured = dict(evaluate(study, prediction.risk)) | facts
    return {name: float(value) for name, value in measured.items() if math.isfinite(value)}


def load_features(path: Path) -> NDArray[np.floating]:
    """Mapped from disk."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def split(cohort: Cohort, seed: int) -> NDArray[np.int8]:
    """The part of every patient of the cohort."""
    return parts(cohort.patients, cohort.time, cohort.event, seed)


def study_of(
    spec: Survive,
    cohort: Cohort,
    features: NDArray[np.floating] | None,
    initial: Weights | None,
    device: str,
) -> Study:
    """What the model is given: patches in focus alone, by a threshold that training patients set."""
    needs, part = NEEDS[spec.model], split(cohort, spec.seed)
    rows = cohort.valid(part == TRAIN)
    study = Study(
        patients=cohort.patients,
        time=cohort.time,
        event=cohort.event,
        part=part,
        patient=cohort.patient[rows],
        clinical=cohort.clinical,
        seed=spec.seed,
        device=device,
    )
    if needs.features and features is not None:
        study = replace(study, features=features[rows])
    if needs.handcrafted and features is not None:
        study = replace(study, handcrafted=features[rows])
    if needs.pixels:
        study = replace(study, images=ImageRows(cohort.images, rows))
    if needs.network:
        study = replace(study, encoder=lambda: new_encoder(spec.backbone, initial, spec.seed))
    return study


class ImageRows:
    """Rows of images (n, S, S, 3) on disk, read when asked for: a cohort's do not fit into memory."""

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.intp]) -> None:
        self.images, self.rows = images, rows
        self.shape = (len(rows), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: Any) -> NDArray[np.uint8]:
        return self.images[self.rows[places]]


def new_encoder(backbone: str, initial: Weights | None, seed: int) -> nn.Module:
    """With the given weights, or with random ones that the seed draws."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "encoder"))
        encoder = build_encoder(backbone)
    if initial is not None:
        load_encoder(encoder, initial)
    return encoder
