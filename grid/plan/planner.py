"""Turn trials and analyses into units of work, with their inputs; equal units are merged.

Nothing heavy is imported here: a plan of a thousand trials is made in well under a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from grid.plan.initialization import (
    PretrainRequest,
    analysis_requests,
    detector_request,
    source_protocol,
    space_datasets,
    trial_request,
)
from grid.plan.plan import Plan, Unit
from grid.space.protocols import protocols_of
from grid.space.sources import can_transfer_decoder
from grid.space.trials import IMAGENET, RANDOM, UNTRAINED, Analysis, Settings, Space, Trial
from medpt import extensions
from medpt.data import leakage
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
    Survive,
    Svcca,
    UnitSpec,
)
from medpt.survival.registry import SURVIVAL_MODELS


def build_plan(
    space: Space,
    fingerprints: Mapping[str, str],
    published: Mapping[str, str],
    contents: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan of a space.

    `fingerprints` names the original files of each dataset, `published` the ImageNet weights of each
    backbone; both enter the digests. `contents` names edits since the first preparation.
    """
    planner = Planner(fingerprints, published, contents or {})
    trials = tuple((trial, planner.add_trial(trial)) for trial in space.trials)
    analyses = tuple((entry, tuple(planner.add_analysis(entry))) for entry in space.analyses)
    return Plan(
        space=space.name,
        title=space.title,
        trials=trials,
        analyses=analyses,
        units=planner.units,
        protocols=protocols_of(space),
        selection=space.selection,
        cards={name: space.cards[name] for name in space_datasets(space) if name in space.cards},
    )


class Planner:
    """Collects the units of a space; the same work asked for twice is one unit."""

    def __init__(
        self, fingerprints: Mapping[str, str], published: Mapping[str, str], contents: Mapping[str, str]
    ) -> None:
        self.fingerprints, self.published, self.contents = fingerprints, published, contents
        self.units: dict[str, Unit] = {}
        self.pretrainings: dict[str, Pretrain] = {}
        self.known: dict[tuple[Any, ...], str] = {}  # digests of data and pre-trainings by what asks for them

    def add_trial(self, trial: Trial) -> str:
        return self.add_survive(trial) if trial.task == "survival" else self.add_finetune(trial)

    def add_analysis(self, analysis: Analysis) -> Iterator[str]:
        if analysis.kind == "cmd":
            yield from (self.add_coordinates(*dataset, analysis) for dataset in analysis.datasets)
        for request in analysis_requests(analysis):
            is_svcca = analysis.kind == "svcca"
            yield self.add_svcca(request, analysis) if is_svcca else self.add_filters(request)

    def add(self, spec: UnitSpec, label: str) -> str:
        """Plan a unit unless it is planned, and return its digest; it needs those of its inputs that are."""
        if spec.digest not in self.units:
            needs = dict.fromkeys(name for name in spec.inputs() if name in self.units)
            self.units[spec.digest] = Unit(spec, tuple(needs), label)
        return spec.digest

    def add_data(
        self,
        dataset: str,
        settings: Settings,
        sample_size: int | None = None,
        at_most: int | None = None,
        *,
        roi: int | None = None,
    ) -> str:
        key = (dataset, sample_size, at_most, roi, id(settings))
        if key not in self.known:
            entry = settings.of(dataset)
            detector = self.add_pretrain(detector_request(settings)) if roi else None
            spec = Prepare(
                dataset=dataset,
                fingerprint=self.fingerprints[dataset],
                pipeline=_pipeline(dataset, settings, roi),
                split=entry.split or ("official" if settings.card(dataset).official_split else "random"),
                options=entry.options,
                sample_size=sample_size,
                at_most=at_most,
                detector=detector,
                content=self.contents.get(dataset),
            )
            label = sized(dataset, sample_size, at_most) + (" around the optic disc" if roi else "")
            self.known[key] = self.add(spec, label)
        return self.known[key]

    def add_target(self, request: PretrainRequest, sample_size: int | None = None) -> str:
        """Plan the target's data, cropped around the optic disc if its entry has `roi`."""
        roi = request.settings.of(request.target).roi
        return self.add_data(request.target, request.settings, sample_size, roi=roi)

    def add_sources(self, request: PretrainRequest) -> tuple[str, ...]:
        """Return the digests of the data that the initialization is trained on."""
        if request.method != SUPERVISED:
            return (self.add_target(request, request.sample_size),)
        size, settings = request.sample_size, request.settings
        if collection := COLLECTIONS.get(request.initialization):
            at_most = size or collection.at_most
            return tuple(self.add_data(name, settings, at_most=at_most) for name in request.datasets)
        return tuple(self.add_data(name, settings, size) for name in request.datasets)

    def add_pretrain(self, request: PretrainRequest) -> str:
        key = (
            request.label,
            request.datasets,
            request.backbone,
            request.source_architecture,
            id(request.settings),
        )
        if key not in self.known:
            data = self.add_sources(request)
            labelled = request.method == SUPERVISED
            spec = self._pretrain(request, data, () if labelled else (self.add_target(request),))
            name = request.label if labelled else f"{request.label} on {request.target}"
            label = f"{name} · {network(spec.backbone, spec.architecture)}"
            self.known[key] = self.add(spec, label)
            self.pretrainings[self.known[key]] = spec
        return self.known[key]

    def _pretrain(self, request: PretrainRequest, data: tuple[str, ...], guards: tuple[str, ...]) -> Pretrain:
        architecture, method = request.source_architecture, request.method
        return Pretrain(
            datasets=request.datasets,
            data=data,
            backbone=request.backbone,
            architecture=architecture,
            method=method,
            protocol=source_protocol(request),
            extensions=extensions.versions(
                backbone=request.backbone, architecture=architecture, method=method
            ),
            guards=guards,
        )

    def guarded_weights(self, request: PretrainRequest, target: str) -> str | None:
        """Return the digest of weights that were trained on no image and no patient of the target's test set.

        `target` is the digest of the target's data. If the source may contain some of them, the result is a
        leakage-guarded pre-training. It equals the unguarded one if the datasets share nothing
        (medpt.data.leakage), and excludes what they share otherwise. Which of the two applies is known only
        after preparation. The digest contains both datasets and therefore determines the outcome; no trial's
        digest depends on the rest of its space.
        """
        unguarded = self.weights(request)
        spec = self.pretrainings.get(unguarded or "")
        if unguarded is None or spec is None or spec.guards:
            return unguarded
        cards = [request.settings.card(name) for name in (*request.datasets, request.target)]
        if not leakage.comparable(cards[:-1], cards[-1]):
            return unguarded
        label = f"{request.label} for {request.target} · {network(spec.backbone, spec.architecture)}"
        return self.add(replace(spec, guards=(target,)), label)

    def weights(self, request: PretrainRequest) -> str | None:
        """Return the digest of the requested weights; None for random ones."""
        if request.initialization not in UNTRAINED:
            return self.add_pretrain(request)
        return self.published.get(request.backbone) if request.initialization == IMAGENET else None

    def analysed_weights(self, request: PretrainRequest) -> str:
        weights = self.weights(request)
        if weights is None:
            raise ValueError(f"{request.label} on {request.backbone} has no weights to analyse")
        return weights

    def add_finetune(self, trial: Trial) -> str:
        request = trial_request(trial)
        data = self.add_target(request)
        weights = self.guarded_weights(request, data)
        decoder = trial.settings.transfer_decoder and can_transfer_decoder(
            trial.initialization, trial.architecture, trial.settings
        )
        spec = Finetune(
            initialization=trial.label,
            weights=weights,
            dataset=trial.target,
            data=data,
            backbone=trial.backbone,
            architecture=trial.architecture,
            target_size=trial.target_size,
            seed=trial.seed,
            transfer_decoder=decoder,
            protocol=trial.settings.finetune,
            extensions=extensions.versions(backbone=trial.backbone, architecture=trial.architecture),
        )
        share = f" {trial.target_size:.0%}" if trial.target_size < 1 else ""
        net = network(trial.backbone, trial.architecture)
        return self.add(spec, f"{trial.label} → {trial.target}{share} · {net} · {trial.seed}")

    def add_slides(self, dataset: str, settings: Settings) -> str:
        entry = settings.of(dataset)
        spec = Slides(dataset, self.fingerprints[dataset], entry.options, entry.patches)
        return self.add(spec, f"{dataset} (slides)")

    def add_features(self, trial: Trial, data: str, weights: str | None) -> str:
        """Plan the features of a trial. Those of random weights differ by seed; others are shared."""
        handcrafted = trial.initialization == NO_NETWORK
        backbone = HANDCRAFTED if handcrafted else trial.backbone
        seed = trial.seed if trial.initialization == RANDOM else 0
        spec = Features(trial.label, weights, trial.target, data, backbone, seed)
        label = f"{backbone if handcrafted else trial.label} features of {trial.target} · {backbone}"
        return self.add(spec, label)

    def add_survive(self, trial: Trial) -> str:
        reads = SURVIVAL_MODELS[trial.architecture].inputs
        data, weights = self.add_slides(trial.target, trial.settings), self.weights(trial_request(trial))
        features = self.add_features(trial, data, weights) if reads.features or reads.handcrafted else None
        spec = Survive(
            model=trial.architecture,
            initialization=trial.label,
            weights=weights,
            dataset=trial.target,
            data=data,
            features=features,
            backbone=trial.backbone if reads.network else HANDCRAFTED,
            seed=trial.seed,
            options=trial.settings.survival.get(trial.architecture, {}),
        )
        net = f"{trial.architecture}/{trial.backbone}" if reads.network else trial.architecture
        return self.add(spec, f"{trial.label} → {trial.target} · {net} · {trial.seed}")

    def add_coordinates(self, dataset: str, sample_size: int | None, analysis: Analysis) -> str:
        data = self.add_data(dataset, analysis.settings, sample_size)
        spec = Coordinates(dataset, data, options=analysis.options)
        return self.add(spec, f"cmd · {dataset}")

    def add_svcca(self, request: PretrainRequest, analysis: Analysis) -> str:
        probes = tuple(self.add_data(name, analysis.settings, size) for name, size in analysis.datasets)
        weights = self.analysed_weights(request)
        spec = Svcca(request.label, weights, request.backbone, probes, **analysis.options)
        return self.add(spec, f"svcca · {request.label} · {request.backbone}")

    def add_filters(self, request: PretrainRequest) -> str:
        weights = self.analysed_weights(request)
        spec = Filters(request.label, weights, request.backbone)
        return self.add(spec, f"filters · {request.label} · {request.backbone}")


def _pipeline(dataset: str, settings: Settings, roi: int | None) -> str:
    if roi:
        return roi_pipeline(roi, settings.size)
    return canonical(settings.of(dataset).pipeline or pipeline_of(settings.card(dataset), settings.size))


def sized(dataset: str, sample_size: int | None, at_most: int | None) -> str:
    if sample_size:
        return f"{dataset} ({sample_size:,} images)"
    return f"{dataset} (at most {at_most:,})" if at_most else dataset


def network(backbone: str, architecture: str) -> str:
    return backbone if architecture == CLASSIFIER else f"{architecture}/{backbone}"
