"""Turn trials and analyses into units of work, with their inputs; equal units are merged.

Nothing heavy is imported here: a plan of a thousand trials is made in well under a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grid.plan.controls import add_controls, add_image_free, add_probes
from grid.plan.data_request import DataRequest, preparation, source_data, source_images, target_data
from grid.plan.frozen import add_frozen
from grid.plan.initialization import (
    PretrainRequest,
    analysis_requests,
    detector_request,
    published_weights,
    source_protocol,
    space_datasets,
    trial_request,
)
from grid.plan.plan import Plan, Unit
from grid.plan.test_sets import add_tests, subgroup_columns
from grid.space.protocols import describe_factors, is_frozen, protocols_of
from grid.space.sources import can_transfer_decoder
from grid.space.trials import IMAGENET, PAPER_METRICS, RANDOM, Analysis, Settings, Space, Trial, network_id
from medpt import extensions
from medpt.data import leakage
from medpt.specs import (
    HANDCRAFTED,
    NO_NETWORK,
    SUPERVISED,
    Coordinates,
    Features,
    Filters,
    Finetune,
    Pretrain,
    Slides,
    Survive,
    Svcca,
    UnitSpec,
)
from medpt.survival.registry import SURVIVAL_MODELS

FRESH_NETWORKS = 5  # that published weights are compared with; the mean of their similarities is shown


def build_plan(
    space: Space,
    fingerprints: Mapping[str, str],
    published: Mapping[str, str],
    contents: Mapping[str, str] | None = None,
) -> Plan:
    """Return the plan of a space, whose units are in the order in which they start once they are ready.

    Probes come first, then each trial's first repeat, then the second: whenever a run is interrupted, what is
    finished compares all initializations. Of spaces with probes the control without images follows the first
    repeats; random networks, which take longer, come last.

    `fingerprints` names the original files of each dataset, `published` the ImageNet weights of each
    backbone; both enter the digests. `contents` names edits since the first preparation.
    """
    planner = Planner(fingerprints, published, contents or {})
    probed = [trial for trial in space.trials if trial.settings.probes]
    probes = add_probes(planner, probed)
    rounds = sorted(space.trials, key=repeat_number)
    first = [trial for trial in rounds if repeat_number(trial) == repeat_number(rounds[0])]
    measured = {trial: planner.add_trial(trial) for trial in first}
    add_image_free(planner, probed)
    measured |= {trial: planner.add_trial(trial) for trial in rounds[len(first) :]}
    trials = tuple((trial, measured[trial]) for trial in space.trials)
    analyses = tuple((entry, tuple(planner.add_analysis(entry))) for entry in space.analyses)
    controls = tuple(dict.fromkeys(add_controls(planner, space.trials) + probes))
    return Plan(
        space=space.name,
        title=space.title,
        trials=trials,
        analyses=analyses,
        units=planner.units,
        controls=controls,
        tests=add_tests(planner, trials),
        subgroups=subgroup_columns(planner, trials),
        protocols=protocols_of(space),
        select=space.select,
        selection=space.selection,
        weights=tuple(replace(each, path=Path(each.path).name) for each in published_weights(space)),
        cards={name: space.cards[name] for name in space_datasets(space) if name in space.cards},
    )


def repeat_number(trial: Trial) -> tuple[int, int, int]:
    """Return what orders the trials of a space in rounds."""
    return trial.fold or 0, trial.pretrain_seed or 0, trial.seed


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
        if is_frozen(trial):
            return add_frozen(self, trial)
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

    def add_data(self, request: DataRequest, settings: Settings) -> str:
        key = (request, id(settings))
        if key not in self.known:
            name = request.dataset
            is_target = request.roi and not request.all_images
            detector = self.add_pretrain(detector_request(settings)) if is_target else None
            spec = preparation(request, settings, self.fingerprints[name], detector, self.contents.get(name))
            side = f" · {settings.size} px" if "size" in settings.factors else ""
            self.known[key] = self.add(spec, request.label + side)
        return self.known[key]

    def add_target(self, request: PretrainRequest) -> str:
        return self.add_data(target_data(request), request.settings)

    def add_pretrain(self, request: PretrainRequest) -> str:
        key = (
            request.label,
            request.datasets,
            request.backbone,
            request.source_architecture,
            request.seed,
            request.fold if request.method != SUPERVISED else None,
            request.whole_frames,
            id(request.settings),
        )
        if key not in self.known:
            data = tuple(self.add_data(each, request.settings) for each in source_data(request))
            labelled = request.method == SUPERVISED
            spec = self._pretrain(request, data, () if labelled else (self.add_target(request),))
            name = request.numbered_label + ("" if labelled else f" on {request.numbered_target}")
            label = f"{name} · {network_id(spec.architecture, spec.backbone)}"
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
            seed=request.seed,
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
        net = network_id(spec.architecture, spec.backbone)
        label = f"{request.numbered_label} for {request.numbered_target} · {net}"
        return self.add(replace(spec, guards=(target,)), label)

    def weights(self, request: PretrainRequest) -> str | None:
        """Return the digest of the requested weights; None for random ones."""
        if request.published:
            return request.published.identity
        if request.settings.trains(request.initialization):
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
            initialization=request.spec_name,
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
            metric=None if trial.headline == PAPER_METRICS.get(trial.task) else trial.headline,
            evaluate_by=trial.settings.card(trial.target).evaluate_by,
            normalisation=request.normalisation,
        )
        share = f" {trial.target_size:.0%}" if trial.target_size < 1 else ""
        net = " · ".join([network_id(trial.architecture, trial.backbone), *describe_factors(trial.settings)])
        return self.add(
            spec, f"{request.numbered_label} → {request.numbered_target}{share} · {net} · {trial.seed}"
        )

    def add_slides(self, dataset: str, settings: Settings) -> str:
        entry = settings.of(dataset)
        spec = Slides(dataset, self.fingerprints[dataset], entry.options, entry.patches)
        return self.add(spec, f"{dataset} (slides)")

    def add_features(self, trial: Trial, data: str, weights: str | None) -> str:
        """Plan the features of a trial. Those of random weights differ by seed; others are shared."""
        request, is_random = trial_request(trial), trial.initialization == RANDOM
        handcrafted = trial.initialization == NO_NETWORK
        backbone, seed = HANDCRAFTED if handcrafted else trial.backbone, trial.seed if is_random else 0
        names = (request.spec_name, weights, trial.target, data, backbone, seed)
        spec = Features(*names, request.normalisation, "shuffled" if is_random else None)
        name = backbone if handcrafted else request.numbered_label
        return self.add(spec, f"{name} features of {trial.target} · {backbone}")

    def add_survive(self, trial: Trial) -> str:
        reads = SURVIVAL_MODELS[trial.architecture].inputs
        request = trial_request(trial)
        data, weights = self.add_slides(trial.target, trial.settings), self.weights(request)
        features = self.add_features(trial, data, weights) if reads.features or reads.handcrafted else None
        spec = Survive(
            model=trial.architecture,
            initialization=request.spec_name,
            weights=weights,
            dataset=trial.target,
            data=data,
            features=features,
            backbone=trial.backbone if reads.network else HANDCRAFTED,
            seed=trial.seed,
            options=trial.settings.survival.get(trial.architecture, {}),
            normalisation=request.normalisation,
        )
        net = f"{trial.architecture}/{trial.backbone}" if reads.network else trial.architecture
        return self.add(spec, f"{request.numbered_label} → {trial.target} · {net} · {trial.seed}")

    def add_coordinates(self, dataset: str, sample_size: int | None, analysis: Analysis) -> str:
        # With a sample size, such as "CheXpert-20k", it is the source of that name
        request = DataRequest(dataset, sample_size, all_images=sample_size is not None)
        data = self.add_data(request, analysis.settings)
        spec = Coordinates(dataset, data, options=analysis.options)
        return self.add(spec, f"cmd · {dataset}")

    def add_svcca(self, request: PretrainRequest, analysis: Analysis) -> str:
        data = [source_images(name, analysis.settings, size) for name, size in analysis.datasets]
        probes = tuple(self.add_data(each, analysis.settings) for each in data)
        fresh = 1 if analysis.settings.trains(request.initialization) else FRESH_NETWORKS
        names = (request.spec_name, self.analysed_weights(request), request.backbone, probes)
        spec = Svcca(*names, normalisation=request.normalisation, fresh=fresh, **analysis.options)
        return self.add(spec, f"svcca · {request.numbered_label} · {request.backbone}")

    def add_filters(self, request: PretrainRequest) -> str:
        weights = self.analysed_weights(request)
        spec = Filters(request.spec_name, weights, request.backbone)
        return self.add(spec, f"filters · {request.numbered_label} · {request.backbone}")
