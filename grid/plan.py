"""Trials become units of work: named by digest, shared ones merged, in an order in which needs come first.

Nothing heavy is imported here: a plan of a thousand trials is made in well under a second.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from grid.space import RANDOM, UNTRAINED, Settings, Space, Trial, self_supervised
from medpt import extensions, selfsupervised
from medpt.data.cards import card
from medpt.data.collections import COLLECTIONS
from medpt.data.preprocess import canonical, default_pipeline
from medpt.spec import CLASSIFIER, Finetune, Prepare, Pretrain, Protocol, Spec, digest, from_plain


@dataclass(frozen=True)
class Unit:
    """One piece of work; equal digests are the same work, in whatever space they appear."""

    kind: str
    spec: Spec
    needs: tuple[str, ...]
    label: str

    @cached_property
    def digest(self) -> str:
        return digest(self.kind, self.spec)

    def plain(self) -> dict[str, Any]:
        return {"kind": self.kind, "spec": asdict(self.spec), "needs": self.needs, "label": self.label}


def unit_from(plain: Mapping[str, Any]) -> Unit:
    return Unit(
        plain["kind"], from_plain(plain["kind"], plain["spec"]), tuple(plain["needs"]), plain["label"]
    )


@dataclass(frozen=True)
class Plan:
    space: Space
    units: dict[str, Unit]  # by digest, needs first
    trials: tuple[tuple[Trial, str], ...]  # with the digest of its fine-tuning

    def counts(self) -> Counter[str]:
        return Counter(unit.kind for unit in self.units.values())

    def plain(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "title": self.space.title,
            "trials": [trial.factors() | {"digest": name} for trial, name in self.trials],
            "units": {name: unit.plain() for name, unit in self.units.items()},
        }


def build(space: Space, fingerprints: Mapping[str, str], published: Mapping[str, str]) -> Plan:
    """The units of a space.

    `fingerprints` names the owner's files of each dataset, `published` the ImageNet weights of each
    backbone; both enter the digests.
    """
    planner = _Planner(fingerprints, published)
    trials = {trial: planner.finetune(trial) for trial in space.trials}
    return Plan(space, planner.units, tuple(trials.items()))


def datasets(space: Space) -> list[str]:
    """Every dataset a space reads, sources and targets."""
    return sorted({name for trial in space.trials for name in (trial.target, *source_datasets(trial))})


def source_datasets(trial: Trial) -> tuple[str, ...]:
    """What the trial's initialization is trained on: without labels, on the target itself."""
    if trial.initialization in UNTRAINED:
        return ()
    if trial.initialization in self_supervised():
        return (trial.target,)
    collection = COLLECTIONS.get(trial.initialization)
    return collection.datasets if collection else (trial.initialization,)


class _Planner:
    def __init__(self, fingerprints: Mapping[str, str], published: Mapping[str, str]) -> None:
        self.fingerprints, self.published = fingerprints, published
        self.units: dict[str, Unit] = {}
        self.known: dict[Unit, str] = {}
        self.memory: dict[tuple[Any, ...], str] = {}

    def add(self, unit: Unit) -> str:
        self.units.setdefault(unit.digest, unit)
        return unit.digest

    def prepare(
        self, dataset: str, settings: Settings, sample_size: int | None = None, at_most: int | None = None
    ) -> str:
        key = (dataset, sample_size, at_most, id(settings))
        if key not in self.memory:
            own = settings.of(dataset)
            spec = Prepare(
                dataset=dataset,
                fingerprint=self.fingerprints[dataset],
                pipeline=canonical(own.pipeline or default_pipeline(card(dataset).modality, settings.size)),
                split=own.split or ("official" if card(dataset).official_split else "random"),
                options=own.options,
                sample_size=sample_size,
                at_most=at_most,
            )
            self.memory[key] = self.add(Unit("prepare", spec, (), sized(dataset, sample_size, at_most)))
        return self.memory[key]

    def source(self, trial: Trial) -> tuple[str, ...]:
        """The digests of the data that the trial's initialization is trained on."""
        names, settings = source_datasets(trial), trial.settings
        if collection := COLLECTIONS.get(trial.initialization):
            at_most = trial.sample_size or collection.at_most
            return tuple(self.prepare(name, settings, at_most=at_most) for name in names)
        return tuple(self.prepare(name, settings, trial.sample_size) for name in names)

    def pretrain(self, trial: Trial) -> str:
        architecture, names = source_architecture(trial), source_datasets(trial)
        key = (trial.label, names, trial.backbone, architecture, id(trial.settings))
        if key not in self.memory:
            data, settings = self.source(trial), trial.settings
            method = self_supervised().get(trial.initialization, "supervised")
            spec = Pretrain(
                datasets=names,
                data=data,
                backbone=trial.backbone,
                architecture=architecture,
                method=method,
                protocol=source_protocol(names, method, settings),
                extensions=extensions.versions(
                    backbone=trial.backbone, architecture=architecture, method=method
                ),
            )
            name = (
                f"{trial.label} on {trial.target}"
                if len(names) == 1 and spec.method != "supervised"
                else trial.label
            )
            label = f"{name} · {network(trial.backbone, architecture)}"
            self.memory[key] = self.add(Unit("pretrain", spec, data, label))
        return self.memory[key]

    def finetune(self, trial: Trial) -> str:
        data = self.prepare(trial.target, trial.settings)
        trained = trial.initialization not in UNTRAINED
        weights = self.pretrain(trial) if trained else self.published.get(trial.backbone)
        spec = Finetune(
            initialization=trial.label,
            weights=None if trial.initialization == RANDOM else weights,
            dataset=trial.target,
            data=data,
            backbone=trial.backbone,
            architecture=trial.architecture,
            target_size=trial.target_size,
            seed=trial.seed,
            transfer_decoder=trained and takes_decoder(trial),
            protocol=trial.settings.finetune,
            extensions=extensions.versions(backbone=trial.backbone, architecture=trial.architecture),
        )
        needs = (data, weights) if trained and weights else (data,)
        net = network(trial.backbone, trial.architecture)
        share = f" {trial.target_size:.0%}" if trial.target_size < 1 else ""
        return self.add(
            Unit("finetune", spec, needs, f"{trial.label} → {trial.target}{share} · {net} · {trial.seed}")
        )


def source_architecture(trial: Trial) -> str:
    """What a source is trained with: its task's network; a segmentation source, the target's (paper, 4.2).

    Without labels all segmentation networks share one run, on U-Net where there is a decoder at all; of an
    extension's method only the encoder is taken.
    """
    if method := self_supervised().get(trial.initialization):
        whole = method == "context" and trial.architecture != CLASSIFIER
        return "unet" if whole else CLASSIFIER
    collection = COLLECTIONS.get(trial.initialization)
    if (collection.task if collection else card(trial.initialization).task) == "classification":
        return CLASSIFIER
    return "unet" if collection or trial.architecture == CLASSIFIER else trial.architecture


def source_protocol(names: tuple[str, ...], method: str, settings: Settings) -> Protocol:
    """The space's, with the dataset's own validation part.

    Without labels and without a protocol of the space's own, the length follows the dataset's size.
    """
    protocol = settings.pretrain
    if method in selfsupervised.METHODS and protocol == Settings().pretrain:
        protocol = selfsupervised.protocol(card(names[0]).counts.get("train", 0), protocol)
    fraction = settings.of(names[0]).validation_fraction if len(names) == 1 else None
    return protocol if fraction is None else replace(protocol, validation_fraction=fraction)


def takes_decoder(trial: Trial) -> bool:
    """Where the space asks for it and the source was trained with the target's own network."""
    own = source_architecture(trial) == trial.architecture != CLASSIFIER
    return trial.settings.transfer_decoder and own


def sized(dataset: str, sample_size: int | None, at_most: int | None) -> str:
    if sample_size:
        return f"{dataset} ({sample_size:,} images)"
    return f"{dataset} (at most {at_most:,})" if at_most else dataset


def network(backbone: str, architecture: str) -> str:
    return backbone if architecture == CLASSIFIER else f"{architecture}/{backbone}"
