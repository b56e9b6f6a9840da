"""What a space has to advise with: finished pre-trainings of one backbone, and targets measured with them.

Self-supervised initializations are of their own target, so a new target has none of them. A target is
measured where a finished trial starts from random weights and another from a candidate (grid.ablations).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grid.results import effects
from grid.results.cells import HEADLINE_METRICS
from grid.results.stored_space import StoredSpace
from grid.space.trials import IMAGENET
from medpt.data.catalog import card
from medpt.data.manifest import Manifest
from medpt.errors import InputError, did_you_mean
from medpt.specs import SUPERVISED, Finetune, Pretrain, Survive

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = "ImageNet"  # the dataset of the published weights

Gains = dict[str, dict[str, float]]  # points over random weights, by target and initialization


@dataclass(frozen=True)
class Candidate:
    """`weights` are digests of finished pre-trainings (one a network that was pre-trained) or the published
    name; `datasets` what they were trained on.
    """

    label: str
    weights: tuple[str, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A measured one. `starts` are the weights that its trials began with, by initialization: without what
    they share with it (grid.leaks).
    """

    name: str
    data: str
    starts: dict[str, tuple[str, ...]]
    gains: dict[str, float]


@dataclass(frozen=True)
class Offer:
    """`prepared` holds finished data of the one size, by digest; `sources` names the digest by dataset."""

    backbone: str
    size: int
    candidates: dict[str, Candidate]
    targets: list[Target]
    prepared: dict[str, Manifest]
    sources: dict[str, str]


def offered(evidence: StoredSpace, frame: "pd.DataFrame", task: str, backbone: str | None) -> Offer:
    """Of the backbone, or of the one with most finished initializations; targets of the task alone.

    Data of another size than most are left out, with a gap. Raises InputError for a backbone without a
    finished pre-training.
    """
    backbone = _backbone(evidence, backbone)
    candidates = _candidates(evidence, backbone)
    manifests = {entry.digest: entry.manifest for entry in evidence.prepared() if entry.manifest}
    trained = [name for one in candidates.values() for name in _data(evidence, one)]
    known = [name for name in dict.fromkeys(trained) if name in manifests]
    if not known:
        raise InputError(f"{evidence.store.out}: no prepared data of a finished pre-training is left")
    size = Counter(manifests[name].size for name in known).most_common(1)[0][0]
    prepared = {name: manifest for name, manifest in manifests.items() if manifest.size == size}
    evidence.gaps += [
        f"{m.dataset}: prepared at {m.size} pixels where most are at {size}; left out"
        for m in manifests.values()
        if m.size != size
    ]
    sources = _largest([name for name in known if name in prepared], prepared)
    published = [name for name, manifest in prepared.items() if manifest.dataset == PUBLISHED]
    gains = measured(frame, backbone, HEADLINE_METRICS[task])
    targets = _targets(evidence, backbone, task, gains, prepared)
    return Offer(backbone, size, candidates, targets, prepared, _largest(published, prepared) | sources)


def _backbone(evidence: StoredSpace, wanted: str | None) -> str:
    """The wanted one, or that with the most initializations."""
    found = {(spec.backbone, trial["initialization"]) for trial, spec, _ in _starts(evidence)}
    trained = Counter(backbone for backbone, label in sorted(found) if label != IMAGENET)
    if not trained:
        raise InputError(f"{evidence.store.out}: no pre-training of `{evidence.plan['space']}` is finished")
    if wanted is not None and wanted not in trained:
        raise InputError(f"--backbone {wanted}: no pre-training is finished; {did_you_mean(wanted, trained)}")
    return wanted or trained.most_common(1)[0][0]


def _starts(evidence: StoredSpace) -> Iterator[tuple[dict[str, Any], Finetune | Survive, str]]:
    """Every trial that begins with weights which are there, and their name."""
    for trial in evidence.plan["trials"]:
        spec = evidence.units[trial["digest"]].spec
        assert isinstance(spec, Finetune | Survive)  # noqa: S101 - for the type checker
        if spec.weights in evidence.units:
            source = evidence.units[spec.weights].spec
            labelled = isinstance(source, Pretrain) and source.method == SUPERVISED
            if labelled and _unguarded(evidence, spec.weights) in evidence.finished:
                yield trial, spec, spec.weights
        elif spec.weights and trial["initialization"] == IMAGENET:
            yield trial, spec, spec.weights


def _unguarded(evidence: StoredSpace, digest: str) -> str:
    """Return the pre-training on all images that a guarded one may repeat, else the pre-training itself."""
    unit = evidence.units[digest]
    unguarded = unit.spec.unguarded.digest if isinstance(unit.spec, Pretrain) else digest
    return unguarded if unguarded in unit.needs else digest


def _candidates(evidence: StoredSpace, backbone: str) -> dict[str, Candidate]:
    weights: dict[str, dict[str, None]] = {}
    for trial, spec, name in _starts(evidence):
        if spec.backbone == backbone:
            trained = _unguarded(evidence, name) if name in evidence.units else name
            weights.setdefault(trial["initialization"], {})[trained] = None
    return {
        label: Candidate(label, tuple(names), _datasets(evidence, names)) for label, names in weights.items()
    }


def _datasets(evidence: StoredSpace, weights: dict[str, None]) -> tuple[str, ...]:
    specs = [evidence.units[name].spec for name in weights if name in evidence.units]
    found = [name for spec in specs if isinstance(spec, Pretrain) for name in spec.datasets]
    return tuple(dict.fromkeys(found)) or (PUBLISHED,)


def _data(evidence: StoredSpace, candidate: Candidate) -> list[str]:
    specs = [evidence.units[name].spec for name in candidate.weights if name in evidence.units]
    return [name for spec in specs if isinstance(spec, Pretrain) for name in spec.data]


def _largest(digests: list[str], prepared: dict[str, Manifest]) -> dict[str, str]:
    """By dataset the data with most training images: samples of a source are one modality."""
    ordered = sorted(digests, key=lambda name: (prepared[name].images.get("train", 0), name))
    return {prepared[name].dataset: name for name in ordered}


def measured(frame: "pd.DataFrame", backbone: str, metric: str) -> Gains:
    """What initializations gained over random weights with the backbone: a mean over networks and seeds."""
    rows = frame[frame["backbone"] == backbone]
    if metric not in rows or rows[metric].isna().all():
        return {}
    table = effects.effects(rows, metric, by=["target"])
    found: Gains = {}
    for row in table.to_dict("records"):
        if row["effect"] == row["effect"]:  # not nan: both sides have a finished seed
            found.setdefault(row["target"], {})[row["initialization"]] = row["effect"]
    return found


def _targets(
    evidence: StoredSpace, backbone: str, task: str, gains: Gains, prepared: dict[str, Manifest]
) -> list[Target]:
    """Those with gains whose data are there."""
    starts: dict[str, dict[str, dict[str, None]]] = {}
    data: dict[str, str] = {}
    for trial, spec, name in _starts(evidence):
        fits = spec.backbone == backbone and spec.data in prepared and card(spec.dataset).task == task
        if fits and spec.dataset in gains and (name not in evidence.units or name in evidence.finished):
            data.setdefault(spec.dataset, spec.data)
            starts.setdefault(spec.dataset, {}).setdefault(trial["initialization"], {})[name] = None
    return [
        Target(
            name,
            data[name],
            {label: tuple(found) for label, found in labels.items()},
            {label: gain for label, gain in gains[name].items() if label in labels},
        )
        for name, labels in starts.items()
    ]
