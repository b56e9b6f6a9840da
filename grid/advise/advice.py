"""Rank the initializations of a finished space for a dataset, and measure how far such a ranking is right.

There are three kinds of evidence. "cmd" is the average modality distance (Wen et al. 2021, eq. 3) to the
datasets that an initialization was trained on, a mean over them; lower is better. "logme" is LogME (You et
al. 2021) of its encoder's features; higher is better. "gain" is its gain over random weights on other
targets, in points, weighted by 1 / (1 + cmd to the target). LogME is used rather than the H-score (Bao et
al. 2019), which reaches its maximum whatever the features are once these are wider than there are images.

Each measured target is then ranked without its own trials, and Kendall's tau compares the ranking with the
measured order. What is computed from prepared data is kept in the store's cache, which may be deleted.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grid.advise import ranking, samples
from grid.advise.candidates import Candidate, Offer, Target
from grid.advise.ranking import Evidences, Trust
from grid.advise.samples import Sample
from grid.execution.inputs import weights_file
from grid.results.stored_space import StoredSpace
from medpt import files
from medpt.analysis.activations import settle
from medpt.analysis.cmd import cmv
from medpt.analysis.distances import measured
from medpt.analysis.settings import DEFAULTS
from medpt.analysis.transferability import transferability
from medpt.errors import InputError
from medpt.identity import canonical_json
from medpt.models import torchvision_weights, weights
from medpt.models.registry import build_encoder

SETTINGS = replace(DEFAULTS, seeds=3)  # of cmd: nine networks per image, a third of those of the figure
VERSION = 1  # raise it when a change of code changes the cached values
UNTRAINED = "random"

ProgressCallback = Callable[[str], object]
Distances = Mapping[tuple[str, str], float]  # average cmd by two keys of samples


@dataclass(frozen=True)
class Row:
    """One initialization. None means that this evidence is missing. `targets` counts those of its gain."""

    initialization: str
    cmd: float | None
    logme: float | None
    gain: float | None
    targets: int
    mean_rank: float | None  # 0 (best by every kind of evidence) to 1
    rank: int | None


@dataclass(frozen=True)
class Advice:
    """`rows` has the best first. `random` is the LogME of random weights. `others` counts the targets that
    a gain could use.
    """

    rows: list[Row]
    random: float | None
    others: int
    trust: Trust


class Adviser:
    """Computes evidence from samples and weights; what cannot be computed is added to `stored.warnings`."""

    def __init__(
        self,
        stored: StoredSpace,
        offer: Offer,
        images: int,
        imagenet: Path | None,
        on_progress: ProgressCallback,
    ) -> None:
        self.stored, self.offer, self.images, self.on_progress = stored, offer, images, on_progress
        self.imagenet = imagenet
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.cache = stored.store.cache / "advice"

    def advise(self, target: Sample) -> Advice:
        """Rank the initializations for a target. Trials of a target with the same name are not used."""
        known = [entry for entry in self.offer.targets if entry.data in self.offer.prepared]
        distances = self.distances(target, known)
        known = [entry for entry in known if (target.key, self.prepared(entry.data).key) in distances]
        others = [entry for entry in known if entry.name != target.name]
        initial = {label: found.weights for label, found in self.offer.candidates.items()}
        found = self.evidences(target, initial, others, distances)
        ranks = ranking.mean_ranks(found)
        trust = Trust(self.taus(known, distances), len(ranks))
        return Advice(_rows(initial, found, ranks, others), self.logme(target, UNTRAINED), len(others), trust)

    def taus(self, known: Sequence[Target], distances: Distances) -> dict[str, float]:
        """Return, for each measured target, the agreement of its ranking with its own gains."""
        found = {}
        for entry in known:
            rest = [other for other in known if other.name != entry.name]
            initial = {label: entry.weights[label] for label in entry.gains}
            evidences = self.evidences(self.prepared(entry.data), initial, rest, distances)
            tau = ranking.agreement(ranking.mean_ranks(evidences), entry.gains)
            if tau is not None:
                found[entry.name] = tau
        return found

    def evidences(
        self,
        sample: Sample,
        initial: Mapping[str, tuple[str, ...]],
        others: Sequence[Target],
        distances: Distances,
    ) -> Evidences:
        """Return each kind of evidence by initialization. `initial` are weights, `others` are measured."""
        near = {entry.name: distances[sample.key, self.prepared(entry.data).key] for entry in others}
        kinds: dict[str, dict[str, float | None]] = {
            "cmd": {name: self.cmd(sample, self.offer.candidates[name], distances) for name in initial},
            "logme": {name: self.mean_logme(sample, found) for name, found in initial.items()},
            "gain": {name: weighted_gain(name, others, near) for name in initial},
        }
        return {
            kind: {name: value for name, value in values.items() if value is not None}
            for kind, values in kinds.items()
        }

    def cmd(self, sample: Sample, candidate: Candidate, distances: Distances) -> float | None:
        digests = [self.offer.sources.get(name) for name in candidate.datasets]
        keys = [self.prepared(digest).key for digest in digests if digest]
        if len(keys) < len(candidate.datasets) or any((sample.key, key) not in distances for key in keys):
            return None
        return float(np.mean([distances[sample.key, key] for key in keys]))

    def distances(self, target: Sample, known: Sequence[Target]) -> Distances:
        """Return cmd of all pairs. One of `SETTINGS.reference` sets the scale, or else the first dataset."""
        digests = dict.fromkeys([*self.offer.sources.values(), *(entry.data for entry in known)])
        clouds: dict[str, dict[str, NDArray[np.float64]]] = {}
        names: dict[str, str] = {}
        for sample in (*map(self.prepared, digests), target):
            cloud = self.clouds(sample)
            if cloud is not None:
                clouds[sample.key], names[sample.name] = cloud, sample.key
        reference = next((names[name] for name in SETTINGS.reference if name in names), next(iter(clouds)))
        stacked = {init: np.stack([c[init] for c in clouds.values()], axis=1) for init in SETTINGS.inits}
        keys = tuple(clouds)
        average = measured(stacked, keys, (self.images,) * len(keys), reference, SETTINGS).average
        return {(a, b): float(average[i, j]) for i, a in enumerate(keys) for j, b in enumerate(keys)}

    def clouds(self, sample: Sample) -> dict[str, NDArray[np.float64]] | None:
        """Return cmv (seeds, t, 2) by init, or None and a warning if the images are damaged."""
        path = self.file(["cmv", sample.key, asdict(SETTINGS)], "npz")
        if not path.is_file():
            self.on_progress(f"{sample.name}: modality distance")
            try:
                images, _ = pixels(sample)
            except InputError as error:
                self.stored.warnings += error.problems
                return None
            files.write_arrays(path, {init: self._cloud(images, init) for init in SETTINGS.inits})
        with np.load(path) as stored:
            return dict(stored)

    def _cloud(self, images: NDArray[np.uint8], init: str) -> NDArray[np.float64]:
        seeds = range(SETTINGS.seeds)
        return np.array([cmv({"": images}, init, seed, SETTINGS, self.device)[""] for seed in seeds])

    def mean_logme(self, sample: Sample, names: Sequence[str]) -> float | None:
        """Return the mean over the networks that were pre-trained for the initialization."""
        found = [value for name in names if (value := self.logme(sample, name)) is not None]
        return float(np.mean(found)) if found else None

    def logme(self, sample: Sample, name: str) -> float | None:
        """Return LogME of the named weights, or None and a warning if they or the images cannot be used."""
        path = self.file(["logme", sample.key, name, self.offer.backbone], "json")
        if not path.is_file():
            state = self.state(name)
            if state is None:
                return None
            self.on_progress(f"{sample.name}: features of {self.label(name)}")
            try:
                files.write_json(path, self._logme(sample, name, state))
            except InputError as error:
                self.warn(f"{sample.name}, {self.label(name)}: no LogME ({error})")
                return None
        value: float = files.read_json(path)
        return value

    def _logme(self, sample: Sample, name: str, state: Mapping[str, Any]) -> float:
        images, targets = pixels(sample)
        encoder = build_encoder(self.offer.backbone)
        weights.load_encoder(encoder, state)
        encoder = encoder.to(self.device).eval()
        if name == UNTRAINED:
            settle(encoder, images)
        return transferability(encoder, images, targets)

    def state(self, name: str) -> Mapping[str, Any] | None:
        """Return the tensors of the named weights, or None and a warning if they are missing."""
        if name == UNTRAINED:
            return weights.random_weights(self.offer.backbone, seed=0)
        if name in self.stored.units:
            path = self.stored.artifact(name, "best.safetensors")
            return weights.load(path) if path else None
        file = weights_file(self.imagenet, self.offer.backbone)
        if file is None:
            self.warn("imagenet*: no LogME without --imagenet-weights DIR")
            return None
        return torchvision_weights.published(self.offer.backbone, file)

    def label(self, name: str) -> str:
        units = self.stored.units
        return units[name].label if name in units else f"{name} weights"

    def warn(self, text: str) -> None:
        if text not in self.stored.warnings:
            self.stored.warnings.append(text)

    def prepared(self, digest: str) -> Sample:
        folder = self.stored.store.fetch_all(digest)
        return samples.of_prepared(folder, self.offer.prepared[digest], digest, self.images)

    def file(self, facts: list[Any], suffix: str) -> Path:
        name = hashlib.sha256(canonical_json([VERSION, *facts]).encode()).hexdigest()[:32]
        return self.cache / f"{name}.{suffix}"


@lru_cache(maxsize=1)
def pixels(sample: Sample) -> samples.Pixels:
    """Return the pixels of a sample; one sample at a time is kept in memory."""
    return sample.read()


def weighted_gain(name: str, others: Sequence[Target], near: Mapping[str, float]) -> float | None:
    """Return the mean gain in points over the targets that have one, weighted by 1 / (1 + cmd).

    `near` is the cmd by target.
    """
    found = [(1 / (1 + near[entry.name]), entry.gains[name]) for entry in others if name in entry.gains]
    total = sum(weight for weight, _ in found)
    return sum(weight * gain for weight, gain in found) / total if found else None


def _rows(
    labels: Mapping[str, Any], found: Evidences, ranks: Mapping[str, float], others: Sequence[Target]
) -> list[Row]:
    positions = ranking.positions(ranks)
    ordered = [*ranks, *(name for name in labels if name not in ranks)]
    return [
        Row(
            initialization=name,
            cmd=found["cmd"].get(name),
            logme=found["logme"].get(name),
            gain=found["gain"].get(name),
            targets=sum(name in entry.gains for entry in others),
            mean_rank=ranks.get(name),
            rank=positions.get(name),
        )
        for name in ordered
    ]
