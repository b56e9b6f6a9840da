"""Blocks of factors become trials: each value checked, the product taken, what makes no sense left out."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from grid.space.protocols import (
    headline_metric,
    protocol_hash,
    protocol_values,
    settings_of_mode,
    source_protocol_values,
    with_protocol_fields,
)
from grid.space.trials import IMAGENET, UNTRAINED, Settings, Trial, self_supervised
from grid.space.weights_folders import WeightsFolders
from medpt.data import catalog
from medpt.data.card import DatasetCard
from medpt.data.dataset_collections import COLLECTIONS
from medpt.errors import InputError, did_you_mean
from medpt.extensions import TIMM_NAME
from medpt.frozen_specs import MODES
from medpt.models.registry import BACKBONES, architectures, backbones
from medpt.models.weights_file import WeightsFile, read_weights_file
from medpt.protocol import losses_of
from medpt.specs import CLASSIFIER, NO_NETWORK
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.yaml_document import KeyPath

FACTORS: dict[str, tuple[Any, ...]] = {  # with their defaults; an empty one must be given
    "initialization": (),
    "sample_size": ("all",),
    "backbone": ("resnet18",),
    "architecture": ("unet",),
    "target": (),
    "target_size": (1.0,),
    "seed": (0, 1, 2),
    "pretrain_seed": (0,),
}
SURVIVAL_SEEDS = tuple(range(10))  # default outside the paper's spaces: each draws another split
SEEDS = ("seed", "pretrain_seed")
MAX_IMAGES = 10**9

Report = Callable[[KeyPath, str], None]


class Factors:
    """Reads blocks of factors, whose values have the types of grid/space/schema.py, and None for unfit ones.

    Every problem goes to `report` with its key path; `cards` are those of the users' datasets. `sound` says
    whether no value was unfit; without it no trial is made. `weights` are the published weights that were
    named so far, and `notes` says which of their trials were excluded.
    """

    def __init__(
        self, report: Report, cards: Mapping[str, DatasetCard], folders: WeightsFolders, *, sound: bool
    ) -> None:
        self.sound, self.cards, self.folders = sound, cards, folders
        self.weights: dict[str, WeightsFile] = {}
        self.notes: list[str] = []
        self._report = report

    def problem(self, path: KeyPath, text: str) -> None:
        self.sound = False
        self._report(path, text)

    def trials(self, block: dict[str, Any], path: KeyPath, settings: Settings) -> Iterator[Trial]:
        """The trials of one block; none as soon as anything was wrong with any block."""
        factors = {key: self.factor(block, key, path) for key in FACTORS}
        self.published(factors, path)
        self.weights_of_backbones(factors, path)
        if self.sound and all(factors.values()):
            self.survival(factors, path)
            if "seed" not in block:
                factors["seed"] = default_seeds(factors["target"], settings)
        protocols = self.protocols(block.get("factors") or {}, (*path, "factors"), settings)
        self.losses(factors, dict.fromkeys(each.finetune.value("loss") for each in protocols), path)
        self.modes(factors, dict.fromkeys(each.mode for each in protocols), path)
        if self.sound and all(factors.values()):
            name = str(block.get("name") or path[-1])
            for each in protocols:
                yield from expand(name, factors, each, one_seed="seed" not in block)

    def protocols(self, given: dict[str, Any], path: KeyPath, settings: Settings) -> list[Settings]:
        """The settings with each combination of the protocol's fields that a block gives as factors."""
        values = {key: self.factor(given, key, path) for key in given}
        combinations = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
        found = [with_protocol_fields(settings, chosen) for chosen in combinations]
        for key, text in dict.fromkeys(problem for each in found for problem in each.finetune.problems()):
            self.problem((*path, key), text)
        return found

    def losses(self, factors: dict[str, list[Any]], losses: Collection[str], path: KeyPath) -> None:
        """Dice needs masks, and ET-Net has losses of its own."""
        for target in factors["target"] if self.sound else ():
            task = catalog.card(target, self.cards).task
            for architecture in factors["architecture"] if task == "segmentation" else (CLASSIFIER,):
                accepted = losses_of(task, architecture)
                if unfit := [loss for loss in losses if loss not in accepted and task != "survival"]:
                    words = f"`loss` of {target} by {architecture} is {', '.join(unfit)}"
                    self.problem((*path, "factors", "loss"), f"{words}; accepted: {', '.join(accepted)}")

    def modes(self, factors: dict[str, list[Any]], modes: Collection[str], path: KeyPath) -> None:
        """Neighbours vote on images, not on masks; the models of slides have encoders of their own."""
        for target in factors["target"] if self.sound else ():
            task = catalog.card(target, self.cards).task
            if unfit := [mode for mode in modes if mode not in MODES.get(task, modes)]:
                words = f"`mode` of {target} is {', '.join(unfit)}; accepted for {task}"
                self.problem((*path, "factors", "mode"), f"{words}: {', '.join(MODES[task])}")

    def published(self, factors: dict[str, list[Any]], path: KeyPath) -> None:
        """torchvision published ImageNet weights of the built-in backbones alone."""
        own = [name for name in factors["backbone"] if name not in BACKBONES]
        if own and (IMAGENET, None) in factors["initialization"]:
            accepted = f"{IMAGENET} is accepted on {', '.join(BACKBONES)}"
            self.problem(
                (*path, "backbone"), f"no ImageNet weights are published for {', '.join(own)}; {accepted}"
            )

    def weights_of_backbones(self, factors: dict[str, list[Any]], path: KeyPath) -> None:
        """Published weights belong to one backbone; a block has no trials of them on the others."""
        for weights in (self.weights[name] for name, _ in factors["initialization"] if name in self.weights):
            others = ", ".join(name for name in factors["backbone"] if name != weights.backbone)
            if weights.backbone not in factors["backbone"]:
                words = f"`{weights.name}` has weights of {weights.backbone}, not of {others}"
                self.problem((*path, "backbone"), f"{words}; add {weights.backbone}, or remove the weights")
            elif others:
                self.notes.append(f"{weights.name} has weights of {weights.backbone}: no trials on {others}")

    def survival(self, factors: dict[str, list[Any]], path: KeyPath) -> None:
        """Slides take survival models, images take networks; a block holds either."""
        targets = {name: catalog.card(name, self.cards).task == "survival" for name in factors["target"]}
        models = [name for name in factors["architecture"] if name in SURVIVAL_MODELS]
        networks = [name for name in factors["architecture"] if name not in SURVIVAL_MODELS]
        for name, slides in targets.items():
            if slides and networks:
                words = f"{name} has survival times; `architecture` takes {', '.join(SURVIVAL_MODELS)} for it"
                self.problem((*path, "architecture"), f"{', '.join(networks)}: {words}")
            if not slides and models:
                words = f"{name} has no survival times; TCGA-LGG and TCGA-GBM have"
                self.problem((*path, "target"), f"{', '.join(models)}: {words}")
        starts = {start for start, _ in factors["initialization"]}
        plain = {name for name in models if not SURVIVAL_MODELS[name].inputs.network}
        if NO_NETWORK in starts and not plain:
            without = ", ".join(name for name, model in SURVIVAL_MODELS.items() if not model.inputs.network)
            self.problem((*path, "initialization"), f"`{NO_NETWORK}` is accepted with {without} alone")
        if plain and starts != {NO_NETWORK}:
            self.problem(
                (*path, "initialization"),
                f"{', '.join(sorted(plain))} has no network to initialize; `{NO_NETWORK}` is accepted",
            )

    def factor(self, block: dict[str, Any], key: str, path: KeyPath) -> list[Any]:
        """The values of one factor: each is checked, and none is given twice."""
        given = block[key] if key in block else FACTORS[key]
        values = given if isinstance(given, list | tuple) else [given]
        found: dict[Any, None] = {}
        for n, value in enumerate(values):
            if value is None:
                continue
            checked = self.value(key, value, (*path, key, n))
            if checked in found:
                self.problem((*path, key, n), f"`{key}` names {value!r} twice; keep one")
            found[checked] = None
        return list(found)

    def value(self, key: str, value: Any, path: KeyPath) -> Any:
        if key == "initialization":
            return self.initialization(value, path)
        if key == "target":
            card = self.dataset(value, path)
            return card.name if card else value
        if key == "backbone":
            return value if TIMM_NAME.fullmatch(value) else self.name(value, backbones(), key, path)
        if key == "architecture":
            return self.name(value, (*architectures(), *SURVIVAL_MODELS), key, path)
        if key == "sample_size":
            return None if value == "all" else int(value)
        if key in SEEDS:
            return int(value)
        return float(value) if key == "target_size" else value

    def initialization(self, text: str, path: KeyPath) -> tuple[str, int | None]:
        """ "CheXpert-20k" is 20,000 images of CheXpert, as the paper writes it."""
        if self.published_weights(text, path):
            return text, None
        if text.lower() in UNTRAINED:
            return text.lower(), None
        if text in COLLECTIONS or text in self_supervised():
            return text, None
        if text not in (*catalog.names(), *self.cards) and (sized := re.fullmatch(r"(.+)-(\d+)k", text)):
            images = int(sized[2]) * 1000 if len(sized[2]) < len(str(MAX_IMAGES)) else 0
            if not 0 < images <= MAX_IMAGES:
                words = f"a size from 1k to {MAX_IMAGES // 1000}k, as in {sized[1]}-20k, is accepted"
                self.problem(path, f"`{text}` has the size {sized[2]}k; {words}")
            card = self.dataset(sized[1], path)
            return self.with_labels(card, path) if card else sized[1], images
        try:
            return self.with_labels(catalog.card(text, self.cards), path), None
        except InputError:
            known = [*self.other_names(), *self.folders.names()]
            self.problem(path, f"unknown initialization `{text}`; {did_you_mean(text, known)}")
            return text, None

    def published_weights(self, text: str, path: KeyPath) -> bool:
        """Whether published weights have this name; they are read when it is met first."""
        file = None if text in self.weights else self.folders.find(text)
        if file and text.lower() in map(str.lower, self.other_names()):
            self.problem(path, f"`{text}` is an initialization without {file}; rename this file")
        elif file:
            try:
                self.weights[text] = read_weights_file(file)
            except InputError as error:
                for problem in error.problems:
                    self.problem(path, f"`{text}`: {problem}")
        return text in self.weights or file is not None

    def other_names(self) -> Iterator[str]:
        """Names of initializations that are not those of published weights."""
        yield from (*UNTRAINED, *self_supervised(), *COLLECTIONS, *catalog.names(), *self.cards)

    def with_labels(self, card: DatasetCard, path: KeyPath) -> str:
        if card.task == "survival":
            self.problem(path, f"{card.name} has survival times, no labels to pre-train on")
        return card.name

    def dataset(self, name: str, path: KeyPath) -> DatasetCard | None:
        """Return the card of a dataset; None, and a problem, where there is none of that name."""
        try:
            return catalog.card(name, self.cards)
        except InputError as error:
            self.problem(path, str(error))
            return None

    def name(self, value: str, known: Iterable[str], what: str, path: KeyPath) -> str:
        if value not in known:
            self.problem(path, f"unknown {what} `{value}`; {did_you_mean(value, known)}")
        return value


def default_seeds(targets: Sequence[str], settings: Settings) -> list[int]:
    """Return the seeds of a block without `seed`: more for survival, whose tests overlap between seeds."""
    survival = any(settings.card(target).task == "survival" for target in targets)
    return list(SURVIVAL_SEEDS if survival and settings.metrics != "paper" else FACTORS["seed"])


def expand(
    name: str, factors: dict[str, list[Any]], settings: Settings, *, one_seed: bool = False
) -> Iterator[Trial]:
    """Yield the product of a block's factors as trials, each with the hashes of its protocols.

    A target of several splits has a trial for each of them. With `one_seed` these take the first seed alone.
    """
    hashes: dict[tuple[str, str, str], tuple[str, str]] = {}
    first = factors["seed"][0]
    for trial in _product(name, factors, settings):
        if one_seed and trial.fold is not None and trial.seed != first:
            continue
        key = (trial.initialization, trial.architecture, trial.target)
        if key not in hashes:
            values = protocol_values(trial), source_protocol_values(trial)
            hashes[key] = protocol_hash(values[0]), protocol_hash(values[1])
        yield replace(trial, protocol=hashes[key][0], source_protocol=hashes[key][1])


def _product(name: str, factors: dict[str, list[Any]], settings: Settings) -> Iterator[Trial]:
    tasks = {target: settings.card(target).task for target in factors["target"]}
    of_mode = {task: settings_of_mode(settings, task) for task in tasks.values()}
    for (source, own_size), size, *rest in product(*(factors[key] for key in FACTORS)):
        backbone, architecture, target, target_size, seed, pretrain_seed = rest
        if source in settings.weights and settings.weights[source].backbone != backbone:
            continue
        task, folds = tasks[target], settings.folds(target)
        trained = settings.trains(source)
        trial = Trial(
            experiment=name,
            initialization=source,
            sample_size=(own_size or size) if trained and source not in self_supervised() else None,
            backbone=backbone,
            architecture=CLASSIFIER if task in ("classification", "multilabel") else architecture,
            target=target,
            target_size=target_size,
            seed=seed,
            task=task,
            headline=headline_metric(target, settings),
            pretrain_seed=pretrain_seed if trained else None,
            settings=of_mode[task],
        )
        yield from (replace(trial, fold=fold) for fold in range(folds)) if folds > 1 else (trial,)
