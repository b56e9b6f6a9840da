"""Each trial and analysis as units of work: what they need first, equal ones once."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from grid.plan.initialization import source_protocol
from grid.space.sources import can_transfer_decoder, source_architecture, source_datasets
from grid.space.trials import (
    IMAGENET,
    RANDOM,
    UNTRAINED,
    Analysis,
    Settings,
    Trial,
    self_supervised,
)
from medpt import extensions
from medpt.data import leakage, optic_disc
from medpt.data.cards import card
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.preprocess import canonical, pipeline_of, roi_pipeline
from medpt.specs import (
    CLASSIFIER,
    HANDCRAFTED,
    NO_NETWORK,
    SUPERVISED,
    Coordinates,
    Features,
    Filters,
    Finetune,
    Prepare,
    Pretrain,
    Slides,
    Spec,
    Survive,
    Svcca,
    digest,
    from_json,
)
from medpt.survival.needs import NEEDS


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
    return Unit(plain["kind"], from_json(plain["kind"], plain["spec"]), tuple(plain["needs"]), plain["label"])


class Planner:
    """Collects the units of a space; the same work asked for twice is one unit."""

    def __init__(self, fingerprints: Mapping[str, str], published: Mapping[str, str]) -> None:
        self.fingerprints, self.published = fingerprints, published
        self.units: dict[str, Unit] = {}
        self.known: dict[Unit, str] = {}
        self.memory: dict[tuple[Any, ...], str] = {}
        self.sizes: dict[str, int] = {}

    def trial(self, trial: Trial) -> str:
        return self.survive(trial) if card(trial.target).task == "survival" else self.finetune(trial)

    def add(self, unit: Unit) -> str:
        self.units.setdefault(unit.digest, unit)
        return unit.digest

    def prepare(
        self,
        dataset: str,
        settings: Settings,
        sample_size: int | None = None,
        at_most: int | None = None,
        *,
        roi: int | None = None,
    ) -> str:
        key = (dataset, sample_size, at_most, roi, id(settings))
        if key not in self.memory:
            own = settings.of(dataset)
            detector = self.detector(settings) if roi else None
            whole = own.pipeline or pipeline_of(card(dataset), settings.size)
            spec = Prepare(
                dataset=dataset,
                fingerprint=self.fingerprints[dataset],
                pipeline=roi_pipeline(roi, settings.size) if roi else canonical(whole),
                split=own.split or ("official" if card(dataset).official_split else "random"),
                options=own.options,
                sample_size=sample_size,
                at_most=at_most,
                detector=detector,
            )
            label = sized(dataset, sample_size, at_most) + (" around the optic disc" if roi else "")
            needs = (detector,) if detector else ()
            self.memory[key] = self.add(Unit("prepare", spec, needs, label))
            self.sizes[self.memory[key]] = settings.size
        return self.memory[key]

    def target(self, trial: Trial, sample_size: int | None = None) -> str:
        """The data of the trial's target; it alone is cut around the optic disc, where the space says so."""
        roi = trial.settings.of(trial.target).roi
        return self.prepare(trial.target, trial.settings, sample_size, roi=roi)

    def detector(self, settings: Settings) -> str:
        """The pre-training that finds optic discs: as a source it would be the same."""
        return self.pretrain(
            Trial(
                "",
                optic_disc.SOURCE,
                None,
                "resnet18",
                "unet",
                target="",
                target_size=1.0,
                seed=0,
                settings=settings,
            )
        )

    def source(self, trial: Trial) -> tuple[str, ...]:
        """The digests of the data that the trial's initialization is trained on."""
        names, settings = source_datasets(trial.initialization, trial.target), trial.settings
        if collection := COLLECTIONS.get(trial.initialization):
            at_most = trial.sample_size or collection.at_most
            return tuple(self.prepare(name, settings, at_most=at_most) for name in names)
        if trial.initialization in self_supervised():
            return (self.target(trial, trial.sample_size),)
        return tuple(self.prepare(name, settings, trial.sample_size) for name in names)

    def pretrain(self, trial: Trial) -> str:
        architecture = source_architecture(trial.initialization, trial.architecture)
        names = source_datasets(trial.initialization, trial.target)
        key = (trial.label, names, trial.backbone, architecture, id(trial.settings))
        if key not in self.memory:
            data, settings = self.source(trial), trial.settings
            method = self_supervised().get(trial.initialization, SUPERVISED)
            guards = (self.target(trial),) if method != SUPERVISED else ()
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
                guards=guards,
            )
            name = (
                f"{trial.label} on {trial.target}"
                if len(names) == 1 and spec.method != SUPERVISED
                else trial.label
            )
            label = f"{name} · {network(trial.backbone, architecture)}"
            needs = tuple(dict.fromkeys((*data, *guards)))
            self.memory[key] = self.add(Unit("pretrain", spec, needs, label))
        return self.memory[key]

    def guarded(self, trial: Trial, target: str) -> str | None:
        """The weights for one target, whose images and patients they have not seen.

        Where the source can show some, a pre-training of its own: the common one again if nothing is shared
        (medpt.data.leaks), else without what is. Which of the two is known only after preparation; the digest
        names both data sets, hence the outcome, and no trial's name depends on the rest of its space.
        """
        common = self.weights(trial)
        if common is None or not leakage.comparable(
            source_datasets(trial.initialization, trial.target), trial.target
        ):
            return common
        spec = self.units[common].spec
        assert isinstance(spec, Pretrain)  # noqa: S101 - for the type checker
        if spec.guards:
            return common
        label = f"{trial.label} for {trial.target} · {network(spec.backbone, spec.architecture)}"
        needs = tuple(dict.fromkeys((*spec.data, target, common)))
        return self.add(Unit("pretrain", replace(spec, guards=(target,)), needs, label))

    def finetune(self, trial: Trial) -> str:
        data = self.target(trial)
        weights = self.guarded(trial, data)
        trained = trial.initialization not in UNTRAINED
        decoder = trained and can_transfer_decoder(trial.initialization, trial.architecture)
        spec = Finetune(
            initialization=trial.label,
            weights=weights,
            dataset=trial.target,
            data=data,
            backbone=trial.backbone,
            architecture=trial.architecture,
            target_size=trial.target_size,
            seed=trial.seed,
            transfer_decoder=trial.settings.transfer_decoder and decoder,
            protocol=trial.settings.finetune,
            extensions=extensions.versions(backbone=trial.backbone, architecture=trial.architecture),
        )
        needs = (data, weights) if trained and weights else (data,)
        net = network(trial.backbone, trial.architecture)
        share = f" {trial.target_size:.0%}" if trial.target_size < 1 else ""
        return self.add(
            Unit("finetune", spec, needs, f"{trial.label} → {trial.target}{share} · {net} · {trial.seed}")
        )

    def weights(self, trial: Trial) -> str | None:
        """What names the weights that the trial starts from; None for random ones."""
        if trial.initialization not in UNTRAINED:
            return self.pretrain(trial)
        return self.published.get(trial.backbone) if trial.initialization == IMAGENET else None

    def slides(self, dataset: str, settings: Settings) -> str:
        own = settings.of(dataset)
        spec = Slides(dataset, self.fingerprints[dataset], own.options, own.patches)
        return self.add(Unit("slides", spec, (), f"{dataset} (slides)"))

    def features(self, trial: Trial, data: str, weights: str | None) -> str:
        """Those of random weights differ by seed, all others are shared by the seeds."""
        plain = trial.initialization == NO_NETWORK
        backbone = HANDCRAFTED if plain else trial.backbone
        seed = trial.seed if trial.initialization == RANDOM else 0
        spec = Features(trial.label, weights, trial.target, data, backbone, seed)
        label = f"{backbone if plain else trial.label} features of {trial.target} · {backbone}"
        return self.add(Unit("features", spec, self.needs(data, weights), label))

    def survive(self, trial: Trial) -> str:
        needs, data = NEEDS[trial.architecture], self.slides(trial.target, trial.settings)
        weights = self.weights(trial)
        reads = needs.features or needs.handcrafted
        features = self.features(trial, data, weights) if reads else None
        options = trial.settings.survival.get(trial.architecture, {})
        spec = Survive(
            model=trial.architecture,
            initialization=trial.label,
            weights=weights,
            dataset=trial.target,
            data=data,
            features=features,
            backbone=trial.backbone if needs.network else HANDCRAFTED,
            seed=trial.seed,
            options=options,
        )
        net = f"{trial.architecture}/{trial.backbone}" if needs.network else trial.architecture
        label = f"{trial.label} → {trial.target} · {net} · {trial.seed}"
        return self.add(Unit("survive", spec, self.needs(data, weights, features), label))

    def needs(self, *digests: str | None) -> tuple[str, ...]:
        """Those that name units of the plan; published weights are not trained by it."""
        return tuple(name for name in digests if name in self.units)

    def analysis(self, entry: Analysis) -> Iterator[str]:
        if entry.kind == "cmd":
            yield from (self.coordinates(*dataset, entry) for dataset in entry.datasets)
        for trial in entry.sources():
            yield self.svcca(trial, entry) if entry.kind == "svcca" else self.filters(trial)

    def coordinates(self, dataset: str, sample_size: int | None, entry: Analysis) -> str:
        data = self.prepare(dataset, entry.settings, sample_size)
        spec = Coordinates(dataset, data, options=entry.options)
        return self.add(Unit("coordinates", spec, (data,), f"cmd · {dataset}"))

    def svcca(self, trial: Trial, entry: Analysis) -> str:
        probes = tuple(self.prepare(name, entry.settings, size) for name, size in entry.datasets)
        weights = self.weights(trial)
        assert weights is not None  # noqa: S101 - random weights are refused by the space
        spec = Svcca(trial.label, weights, trial.backbone, probes, **entry.options)
        return self.add(
            Unit("svcca", spec, self.needs(*probes, weights), f"svcca · {trial.label} · {trial.backbone}")
        )

    def filters(self, trial: Trial) -> str:
        weights = self.weights(trial)
        assert weights is not None  # noqa: S101 - random weights are refused by the space
        spec = Filters(trial.label, weights, trial.backbone)
        return self.add(
            Unit("filters", spec, self.needs(weights), f"filters · {trial.label} · {trial.backbone}")
        )


def sized(dataset: str, sample_size: int | None, at_most: int | None) -> str:
    if sample_size:
        return f"{dataset} ({sample_size:,} images)"
    return f"{dataset} (at most {at_most:,})" if at_most else dataset


def network(backbone: str, architecture: str) -> str:
    return backbone if architecture == CLASSIFIER else f"{architecture}/{backbone}"
