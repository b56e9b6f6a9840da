"""Find the finished pre-trainings of one backbone, and the targets that were measured with them.

Self-supervised initializations belong to their own target, so a new target has none of them. A target is
measured if one finished trial starts from random weights and another from a candidate
(grid.results.effects).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grid.results import effects
from grid.results.cells import find_cells
from grid.results.stored_space import StoredSpace
from grid.space.trials import IMAGENET, Trial
from medpt.data.manifest import Manifest
from medpt.errors import InputError, did_you_mean
from medpt.specs import SUPERVISED, Finetune, Frozen, Pretrain, Survive

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = "ImageNet"  # the dataset of the published weights

Gains = dict[str, dict[str, float]]  # points over random weights, by target and initialization


@dataclass(frozen=True)
class Candidate:
    """An initialization that can be recommended.

    `weights` are digests of finished pre-trainings (one per pre-trained network) or the published name;
    `datasets` are what they were trained on.
    """

    label: str
    weights: tuple[str, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A measured target.

    `weights` are those that its trials started from, by initialization: leakage-guarded pre-trainings.
    """

    name: str
    data: str
    weights: dict[str, tuple[str, ...]]
    gains: dict[str, float]


@dataclass(frozen=True)
class Offer:
    """What a space offers for advice.

    `prepared` holds the finished data of one size by digest; `sources` gives the digest by dataset.
    """

    backbone: str
    size: int
    candidates: dict[str, Candidate]
    targets: list[Target]
    prepared: dict[str, Manifest]
    sources: dict[str, str]


def offered(stored: StoredSpace, frame: "pd.DataFrame", task: str, backbone: str | None) -> Offer:
    """Return the candidates of a backbone and the measured targets of a task.

    The default backbone is the one with most finished initializations. Data of another size than most are
    excluded with a warning. Raises InputError for a backbone without a finished pre-training.
    """
    backbone = _backbone(stored, backbone)
    candidates = _candidates(stored, backbone)
    manifests = {entry.digest: entry.manifest for entry in stored.prepared() if entry.manifest}
    trained = [name for one in candidates.values() for name in _data(stored, one)]
    known = [name for name in dict.fromkeys(trained) if name in manifests]
    if not known:
        raise InputError(f"{stored.store.out}: no prepared data of a finished pre-training is left")
    size = Counter(manifests[name].size for name in known).most_common(1)[0][0]
    prepared = {name: manifest for name, manifest in manifests.items() if manifest.size == size}
    stored.warnings += [
        f"{m.dataset}: prepared at {m.size} pixels where most are at {size}; excluded"
        for m in manifests.values()
        if m.size != size
    ]
    sources = _largest([name for name in known if name in prepared], prepared)
    published = [name for name, manifest in prepared.items() if manifest.dataset == PUBLISHED]
    gains = measured(frame, backbone, task)
    targets = _targets(stored, backbone, task, gains, prepared)
    return Offer(backbone, size, candidates, targets, prepared, _largest(published, prepared) | sources)


def _backbone(stored: StoredSpace, wanted: str | None) -> str:
    """Return the wanted backbone, or the one with most initializations."""
    found = {(spec.backbone, trial.label) for trial, spec, _ in _initial_weights(stored)}
    trained = Counter(backbone for backbone, label in sorted(found) if label != IMAGENET)
    if not trained:
        raise InputError(f"{stored.store.out}: no pre-training of `{stored.plan.space}` is finished")
    if wanted is not None and wanted not in trained:
        raise InputError(f"--backbone {wanted}: no pre-training is finished; {did_you_mean(wanted, trained)}")
    return wanted or trained.most_common(1)[0][0]


def _initial_weights(stored: StoredSpace) -> Iterator[tuple[Trial, Finetune | Frozen | Survive, str]]:
    """Yield every trial that starts from available weights, and the name of the weights."""
    for trial, digest in stored.plan.trials:
        spec = stored.units[digest].spec
        if not isinstance(spec, Finetune | Frozen | Survive):
            continue
        if spec.weights and spec.weights in stored.units:
            source = stored.units[spec.weights].spec
            labelled = isinstance(source, Pretrain) and source.method == SUPERVISED
            if labelled and _unguarded(stored, spec.weights) in stored.finished:
                yield trial, spec, spec.weights
        elif spec.weights and trial.label == IMAGENET:
            yield trial, spec, spec.weights


def _unguarded(stored: StoredSpace, digest: str) -> str:
    """Return the pre-training on all images that a guarded one may repeat, else the pre-training itself."""
    unit = stored.units[digest]
    unguarded = unit.spec.unguarded.digest if isinstance(unit.spec, Pretrain) else digest
    return unguarded if unguarded in unit.needs else digest


def _candidates(stored: StoredSpace, backbone: str) -> dict[str, Candidate]:
    weights: dict[str, dict[str, None]] = {}
    for trial, spec, name in _initial_weights(stored):
        if spec.backbone == backbone:
            trained = _unguarded(stored, name) if name in stored.units else name
            weights.setdefault(trial.label, {})[trained] = None
    return {
        label: Candidate(label, tuple(names), _datasets(stored, names)) for label, names in weights.items()
    }


def _datasets(stored: StoredSpace, weights: dict[str, None]) -> tuple[str, ...]:
    specs = [stored.units[name].spec for name in weights if name in stored.units]
    found = [name for spec in specs if isinstance(spec, Pretrain) for name in spec.datasets]
    return tuple(dict.fromkeys(found)) or (PUBLISHED,)


def _data(stored: StoredSpace, candidate: Candidate) -> list[str]:
    specs = [stored.units[name].spec for name in candidate.weights if name in stored.units]
    return [name for spec in specs if isinstance(spec, Pretrain) for name in spec.data]


def _largest(digests: list[str], prepared: dict[str, Manifest]) -> dict[str, str]:
    """Return by dataset the prepared data with most training images."""
    ordered = sorted(digests, key=lambda name: (prepared[name].images.get("train", 0), name))
    return {prepared[name].dataset: name for name in ordered}


def measured(frame: "pd.DataFrame", backbone: str, task: str) -> Gains:
    """Return gains over random weights with the backbone, as means over networks and seeds."""
    rows = frame[(frame["backbone"] == backbone) & (frame["task"] == task)]
    table = effects.effects(find_cells(rows), by=["target"])
    found: Gains = {}
    for row in table.to_dict("records"):
        if row["gain"] == row["gain"]:  # not nan: both sides have a finished seed
            found.setdefault(row["target"], {})[row["initialization"]] = row["gain"]
    return found


def _targets(
    stored: StoredSpace, backbone: str, task: str, gains: Gains, prepared: dict[str, Manifest]
) -> list[Target]:
    """Return the targets that have gains and prepared data."""
    weights: dict[str, dict[str, dict[str, None]]] = {}
    data: dict[str, str] = {}
    for trial, spec, name in _initial_weights(stored):
        fits = spec.backbone == backbone and spec.data in prepared and trial.task == task
        if fits and spec.dataset in gains and (name not in stored.units or name in stored.finished):
            data.setdefault(spec.dataset, spec.data)
            weights.setdefault(spec.dataset, {}).setdefault(trial.label, {})[name] = None
    return [
        Target(
            name,
            data[name],
            {label: tuple(found) for label, found in labels.items()},
            {label: gain for label, gain in gains[name].items() if label in labels},
        )
        for name, labels in weights.items()
    ]
