"""Artifacts of analyses and survival models without any of them: made-up numbers in the real formats."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medpt.analysis.filters import difference, panel
from medpt.analysis.settings import INITS
from medpt.data.catalog import card
from medpt.data.manifest import ShardInfo
from medpt.files import write_json
from medpt.identity import stream_seed
from medpt.specs import Coordinates, Features, Filters, Slides, Survive, Svcca
from medpt.survival.evaluate import Curve, RiskGroups, kaplan_meier
from medpt.survival.patch_files import MANIFEST, CohortManifest, Patient, SlideInfo

SPACE = """
title: a small paper
metrics: paper
size: 32
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
controls: false
experiments:
  - name: figure 3
    initialization: [random, OCT2017]
    target: [ChestXRay2017, DRIVE]
  - name: table 2
    initialization: [random, CheXpert-20k]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017, DRIVE]
  - name: figure 5, references
    initialization: [random]
    target: [ChestXRay2017]
  - name: figure 5, chest X-rays
    initialization: [CheXpert]
    sample_size: [5000, 10000]
    target: [ChestXRay2017]
    seed: [0]
  - name: figure 7b
    initialization: [random, "imagenet*"]
    target: [DRIVE]
    target_size: [0.5, 1.0]
    seed: [0]
  - name: table 5
    initialization: [random, "imagenet*"]
    architecture: [km]
    target: [TCGA-LGG]
  - name: table 6, no network
    initialization: [none]
    architecture: [cox]
    target: [TCGA-LGG]
  - name: our own question
    initialization: [random, ISIC2019]
    architecture: [cenet]
    target: [DRIVE]
    seed: [0]
analysis:
  cmd: {datasets: [ADE20K, CIFAR-100, DRIVE, HRF]}
  svcca: {initialization: ["imagenet*", ISIC2019], datasets: [DRIVE]}
  filters: {initialization: ["imagenet*", ISIC2019]}
"""
SEEDS, SUBSETS = 2, 8
PATIENTS = 12
LAYERS = ("conv1", *(f"layer{s}.{b}.conv{c}" for s in (1, 2, 3, 4) for b in (0, 1) for c in (1, 2)), "pool")
MODALITIES = ("natural", "fundus", "x-ray", "ct", "mri", "dermoscopy", "histology", "oct")
SIZES = {"kaiming": 4.0, "orthogonal": 0.03, "xavier": 0.015}
GAINS = {"M6-CLS": 0.06, "M6-SEG": 0.05, "imagenet*": 0.09}


def drawn(*names: object) -> np.random.Generator:
    return np.random.default_rng(stream_seed(0, *(str(name) for name in names)))


def coordinates(spec: Coordinates, built: Path) -> dict[str, float]:
    """Datasets of one modality lie together, the nearer the sooner the modality stands in MODALITIES."""
    place = 3.0 * MODALITIES.index(card(spec.dataset).modality)
    rng = drawn(spec.dataset)
    shift = rng.normal(size=2)
    arrays = {"images": np.array(120), "mean colour": rng.random((SEEDS, SUBSETS, 3)) / 9 + place / 40}
    for init in INITS:
        cloud = shift + np.array([place, place / 2]) + rng.normal(size=(SEEDS, SUBSETS, 2))
        for prefix in ("", "average pool|", "grey world|"):
            arrays[f"{prefix}{init}"] = SIZES[init] * (cloud + 0.1 * rng.normal(size=cloud.shape))
    np.savez_compressed(built / "coordinates.npz", allow_pickle=False, **arrays)
    return {f"cmd_{init}": SIZES[init] for init in INITS}


def svcca(spec: Svcca, built: Path) -> dict[str, float]:
    depth = np.linspace(0.95, 0.5, len(LAYERS)) - 0.1 * spec.initialization.startswith("M6")
    similarity = depth + 0.02 * drawn(spec.initialization).normal(size=len(LAYERS))
    np.savez_compressed(
        built / "svcca.npz",
        layers=np.array(LAYERS),
        similarity=similarity,
        floor=np.full(len(LAYERS), 0.1),
        rows=np.full(len(LAYERS), 20_000),
        channels=np.full(len(LAYERS), 64),
    )
    first = float(similarity[0])
    return {"similarity": float(similarity.mean()), "similarity_first": first, "probe_images": 2000.0}


def filters(spec: Filters, built: Path) -> dict[str, float]:
    rng = drawn(spec.initialization)
    before, after = rng.normal(size=(2, 64, 3, 7, 7))
    gabors = (rng.random(64) < GAINS.get(spec.initialization, 0.02) * 8).astype(np.float64)
    arrays: dict[str, Any] = {"before": before, "after": after, "difference panel": difference(before, after)}
    arrays |= {"before panel": panel(before), "after panel": panel(after)}
    arrays |= {"before gabor": np.zeros(64), "after gabor": gabors}
    np.savez_compressed(built / "filters.npz", allow_pickle=False, **arrays)
    return {
        "gabor_before": 0.0,
        "gabor_after": float(gabors.mean()) - 0.01,
        "gabor_fraction_before": 0.0,
        "gabor_fraction_after": float(gabors.mean()),
        "gabor_control_before": 0.0,
        "gabor_control_after": 0.01,
        "gabor_r2_before": 0.28,
        "gabor_r2_after": 0.5,
        "relative_change": 0.4,
        "cosine": 0.9,
        "spectrum_centroid_before": 0.39,
        "spectrum_centroid_after": 0.3,
        "anisotropy_before": 0.15,
        "anisotropy_after": 0.3,
    }


def slides(spec: Slides, built: Path) -> dict[str, float]:
    patients = tuple(Patient(f"patient-{n}", 100.0 + 50 * n, n % 3 != 0, 40.0 + n) for n in range(PATIENTS))
    read = [
        SlideInfo(f"slide-{n}", f"patient-{n}", ShardInfo(f"slide-{n}.parquet", 40, 1, "0" * 64, "made"), 100)
        for n in range(PATIENTS - 1)
    ]
    lost = SlideInfo("lost", "patient-11", ShardInfo("", 0, 0, "", "made", ("lost.svs: does not open",)))
    manifest = CohortManifest(spec, 64, patients, (*read, lost))
    write_json(built / MANIFEST, asdict(manifest))
    return {name.replace(" ", "_"): float(count) for name, count in manifest.table4().items()}


def features(spec: Features, built: Path) -> dict[str, float]:
    np.save(built / "features.npy", np.zeros((4, 8), np.float16))
    return {"patches": 4.0, "dimensions": 8.0}


def survive(spec: Survive, built: Path) -> dict[str, float]:
    rng = drawn(spec.dataset, spec.model, spec.backbone, spec.initialization, spec.seed)
    value = 0.5 + GAINS.get(spec.initialization, 0.0) + 0.02 * rng.normal()
    time, event = rng.exponential(900, 20) + 30, rng.random(20) < 0.7
    high = rng.permutation(20) < 9
    low_curve, high_curve = (_curve(time[rows], event[rows]) for rows in (~high, high))
    write_json(built / "curves.json", asdict(RiskGroups(0.0, low_curve, high_curve, 0.04)))
    np.savez_compressed(built / "risks.npz", time=time, event=event, risk=high.astype(float))
    return {
        "c_index": value,
        "c_index_low": value - 0.12,
        "c_index_high": value + 0.11,
        "c_index_strict": value - 0.01,
        "c_index_ipcw": value - 0.02,
        "integrated_brier": 0.18,
        "integrated_brier_trivial": 0.2,
        "c_index_flipped": 1 - value,
        "c_index_random": 0.5,
        "pairs": 120.0,
        "censoring": 0.3,
        "logrank_p": 0.04,
    }


def _curve(time: np.ndarray, event: np.ndarray) -> Curve:
    times, alive = kaplan_meier(time, event)
    return Curve((0.0, *times.tolist()), (1.0, *alive.tolist()), len(time), int(event.sum()))


WRITERS: dict[str, Callable[[Any, Path], dict[str, float]]] = {
    "coordinates": coordinates,
    "svcca": svcca,
    "filters": filters,
    "slides": slides,
    "features": features,
    "survive": survive,
}
