"""Which initialization a dataset should start from: the evidence that a finished space holds, and its worth.

Kinds of evidence: "cmd", the average modality distance (Wen et al. 2021, eq. 3) to what an initialization was
trained on, a mean over its datasets, lower is better; "logme", LogME (You et al. 2021) of its encoder's
features, higher is better; "gain", what it gained over random weights on other targets, in points, each
weighing 1 / (1 + cmd to the target). LogME stands where Bao et al. 2019 would put the H-score, which is at
its largest whatever the features where these are wider than there are images.

Every measured target is then advised as if its own trials had not been run; Kendall's tau holds the ranks
against them. What is computed of prepared data lies in the store's cache, which may be deleted.
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
from medpt.analysis.cmd import DEFAULTS, cmv
from medpt.analysis.distances import measured
from medpt.analysis.features import transferability
from medpt.errors import InputError
from medpt.identity import canonical_json
from medpt.models import weights
from medpt.models.registry import build_encoder
from medpt.units.svcca import random_weights, save_arrays

SETTINGS = replace(DEFAULTS, seeds=3)  # of cmd: nine networks an image, a third of what the figure takes
VERSION = 1  # raise it when a change of code changes what is kept
UNTRAINED = "random"

Tell = Callable[[str], object]
Distances = Mapping[tuple[str, str], float]  # average cmd by two keys of samples


@dataclass(frozen=True)
class Row:
    """One initialization; None is evidence that there is not. `targets` are those that its gain is over."""

    initialization: str
    cmd: float | None
    logme: float | None
    gain: float | None
    targets: int
    mean_rank: float | None  # 0 (best of all by each kind) to 1
    rank: int | None


@dataclass(frozen=True)
class Advice:
    """`rows` best first; `random` is the LogME of random weights; `others` counts the targets that a gain
    could be over.
    """

    rows: list[Row]
    random: float | None
    others: int
    trust: Trust


class Adviser:
    """What can be computed of samples and weights; what cannot becomes a sentence in `evidence.gaps`."""

    def __init__(
        self, evidence: StoredSpace, offer: Offer, images: int, imagenet: Path | None, tell: Tell
    ) -> None:
        self.evidence, self.offer, self.images, self.tell = evidence, offer, images, tell
        self.imagenet = imagenet
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.kept = evidence.store.cache / "advice"

    def advise(self, target: Sample) -> Advice:
        """Of the target; a measured target of its name is no evidence for it."""
        known = [entry for entry in self.offer.targets if entry.data in self.offer.prepared]
        distances = self.distances(target, known)
        known = [entry for entry in known if (target.key, self.prepared(entry.data).key) in distances]
        others = [entry for entry in known if entry.name != target.name]
        starts = {label: found.weights for label, found in self.offer.candidates.items()}
        found = self.evidences(target, starts, others, distances)
        ranks = ranking.mean_ranks(found)
        trust = Trust(self.taus(known, distances), len(ranks))
        return Advice(_rows(starts, found, ranks, others), self.logme(target, UNTRAINED), len(others), trust)

    def taus(self, known: Sequence[Target], distances: Distances) -> dict[str, float]:
        """By measured target: the order that it would have been advised, held against its own gains."""
        found = {}
        for entry in known:
            rest = [other for other in known if other.name != entry.name]
            starts = {label: entry.starts[label] for label in entry.gains}
            evidences = self.evidences(self.prepared(entry.data), starts, rest, distances)
            tau = ranking.agreement(ranking.mean_ranks(evidences), entry.gains)
            if tau is not None:
                found[entry.name] = tau
        return found

    def evidences(
        self,
        sample: Sample,
        starts: Mapping[str, tuple[str, ...]],
        others: Sequence[Target],
        distances: Distances,
    ) -> Evidences:
        """Each kind of the initializations that have it; `starts` are the weights, `others` are measured."""
        near = {entry.name: distances[sample.key, self.prepared(entry.data).key] for entry in others}
        kinds: dict[str, dict[str, float | None]] = {
            "cmd": {name: self.cmd(sample, self.offer.candidates[name], distances) for name in starts},
            "logme": {name: self.mean_logme(sample, found) for name, found in starts.items()},
            "gain": {name: weighted_gain(name, others, near) for name in starts},
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
        """Of all pairs of what there is; one of `SETTINGS.reference` gives the unit, or else the first."""
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
        """cmv (seeds, t, 2) by init; None, with a gap, where the images are damaged."""
        path = self.file(["cmv", sample.key, asdict(SETTINGS)], "npz")
        if not path.is_file():
            self.tell(f"{sample.name}: modality distance")
            try:
                images, _ = pixels(sample)
            except InputError as error:
                self.evidence.gaps += error.problems
                return None
            save_arrays(path, {init: self._cloud(images, init) for init in SETTINGS.inits})
        with np.load(path) as stored:
            return dict(stored)

    def _cloud(self, images: NDArray[np.uint8], init: str) -> NDArray[np.float64]:
        seeds = range(SETTINGS.seeds)
        return np.array([cmv({"": images}, init, seed, SETTINGS, self.device)[""] for seed in seeds])

    def mean_logme(self, sample: Sample, names: Sequence[str]) -> float | None:
        """Over the networks that the initialization was pre-trained as."""
        found = [value for name in names if (value := self.logme(sample, name)) is not None]
        return float(np.mean(found)) if found else None

    def logme(self, sample: Sample, name: str) -> float | None:
        """Of the weights of that name; None, with a gap, where they or the images cannot be used."""
        path = self.file(["logme", sample.key, name, self.offer.backbone], "json")
        if not path.is_file():
            state = self.state(name)
            if state is None:
                return None
            self.tell(f"{sample.name}: features of {self.label(name)}")
            try:
                files.write_json(path, self._logme(sample, name, state))
            except InputError as error:
                self.gap(f"{sample.name}, {self.label(name)}: no LogME ({error})")
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
        """The tensors of that name; None, with a gap, where they are not there."""
        if name == UNTRAINED:
            return random_weights(self.offer.backbone, seed=0)
        if name in self.evidence.units:
            path = self.evidence.artifact(name, "best.safetensors")
            return weights.load(path) if path else None
        file = weights_file(self.imagenet, self.offer.backbone)
        if file is None:
            self.gap("imagenet*: no LogME without --imagenet-weights DIR")
            return None
        return weights.published(self.offer.backbone, file)

    def label(self, name: str) -> str:
        units = self.evidence.units
        return units[name].label if name in units else f"{name} weights"

    def gap(self, text: str) -> None:
        if text not in self.evidence.gaps:
            self.evidence.gaps.append(text)

    def prepared(self, digest: str) -> Sample:
        folder = self.evidence.store.whole(digest)
        return samples.of_prepared(folder, self.offer.prepared[digest], digest, self.images)

    def file(self, facts: list[Any], suffix: str) -> Path:
        name = hashlib.sha256(canonical_json([VERSION, *facts]).encode()).hexdigest()[:32]
        return self.kept / f"{name}.{suffix}"


@lru_cache(maxsize=1)
def pixels(sample: Sample) -> samples.Pixels:
    """Of one sample at a time in memory."""
    return sample.read()


def weighted_gain(name: str, others: Sequence[Target], near: Mapping[str, float]) -> float | None:
    """Mean gain in points over the targets that have one, each weighing 1 / (1 + cmd): `near` by target."""
    found = [(1 / (1 + near[entry.name]), entry.gains[name]) for entry in others if name in entry.gains]
    total = sum(weight for weight, _ in found)
    return sum(weight * gain for weight, gain in found) / total if found else None


def _rows(
    labels: Mapping[str, Any], found: Evidences, ranks: Mapping[str, float], others: Sequence[Target]
) -> list[Row]:
    places = ranking.places(ranks)
    ordered = [*ranks, *(name for name in labels if name not in ranks)]
    return [
        Row(
            initialization=name,
            cmd=found["cmd"].get(name),
            logme=found["logme"].get(name),
            gain=found["gain"].get(name),
            targets=sum(name in entry.gains for entry in others),
            mean_rank=ranks.get(name),
            rank=places.get(name),
        )
        for name in ordered
    ]
