"""Blocks of factors become trials: each value checked, the product taken, what makes no sense left out."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from grid.space.protocols import protocol_hash, protocol_values, source_protocol_values
from grid.space.trials import IMAGENET, UNTRAINED, Settings, Trial, self_supervised
from medpt.data import catalog
from medpt.data.catalog import OWN, card
from medpt.data.dataset_collections import COLLECTIONS
from medpt.errors import InputError, did_you_mean
from medpt.models.registry import BACKBONES, architectures, backbones
from medpt.specs import CLASSIFIER, NO_NETWORK
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.yaml_document import KeyPath as Place

FACTORS: dict[str, list[Any] | None] = {  # None: must be given
    "initialization": None,
    "sample_size": ["all"],
    "backbone": ["resnet18"],
    "architecture": ["unet"],
    "target": None,
    "target_size": [1.0],
    "seed": [0, 1, 2],
}

Tell = Callable[[Place, str], None]


class Factors:
    """Reads blocks of factors; every problem goes to `problem` with its place in the document."""

    def __init__(self, problem: Tell) -> None:
        self.sound = True
        self._tell = problem

    def problem(self, place: Place, text: str) -> None:
        self.sound = False
        self._tell(place, text)

    def trials(self, block: dict[str, Any], place: Place, settings: Settings) -> Iterator[Trial]:
        """The trials of one block; none as soon as anything was wrong with any block."""
        factors = {key: self.factor(block, key, place) for key in FACTORS}
        self.published(factors, place)
        if self.sound and all(factors.values()):
            self.survival(factors, place)
        if self.sound and all(factors.values()):
            name = str(block.get("name", place[-1]))
            yield from expand(name, factors, settings)

    def published(self, factors: dict[str, list[Any]], place: Place) -> None:
        """Nobody published ImageNet weights of an extension's backbone."""
        own = [name for name in factors["backbone"] if name in backbones() and name not in BACKBONES]
        if own and (IMAGENET, None) in factors["initialization"]:
            accepted = f"{IMAGENET} is accepted on {', '.join(BACKBONES)}"
            self.problem(
                (*place, "backbone"), f"no ImageNet weights are published for {', '.join(own)}; {accepted}"
            )

    def survival(self, factors: dict[str, list[Any]], place: Place) -> None:
        """Slides take survival models, images take networks; a block holds either."""
        targets = {name: card(name).task == "survival" for name in factors["target"]}
        models = [name for name in factors["architecture"] if name in SURVIVAL_MODELS]
        networks = [name for name in factors["architecture"] if name not in SURVIVAL_MODELS]
        for name, slides in targets.items():
            if slides and networks:
                words = f"{name} has survival times; `architecture` takes {', '.join(SURVIVAL_MODELS)} for it"
                self.problem((*place, "architecture"), f"{', '.join(networks)}: {words}")
            if not slides and models:
                words = f"{name} has no survival times; TCGA-LGG and TCGA-GBM have"
                self.problem((*place, "target"), f"{', '.join(models)}: {words}")
        starts = {start for start, _ in factors["initialization"]}
        plain = {name for name in models if not SURVIVAL_MODELS[name].inputs.network}
        if NO_NETWORK in starts and not plain:
            without = ", ".join(name for name, model in SURVIVAL_MODELS.items() if not model.inputs.network)
            self.problem((*place, "initialization"), f"`{NO_NETWORK}` is accepted with {without} alone")
        if plain and starts != {NO_NETWORK}:
            self.problem(
                (*place, "initialization"),
                f"{', '.join(sorted(plain))} has no network to initialize; `{NO_NETWORK}` is accepted",
            )

    def factor(self, block: dict[str, Any], key: str, place: Place) -> list[Any]:
        values = block.get(key, FACTORS[key])
        place = (*place, key)
        if values is None or values == []:
            self.problem(place, f"the factor `{key}` is empty; give at least one value")
            return []
        values = values if isinstance(values, list) else [values]
        checked = [self.value(key, value, (*place, n)) for n, value in enumerate(values)]
        for n, value in enumerate(checked):
            if value in checked[:n]:
                self.problem((*place, n), f"`{key}` names {values[n]!r} twice; keep one")
        return checked

    def value(self, key: str, value: Any, place: Place) -> Any:
        checks = {
            "initialization": self.initialization,
            "target": lambda v, p: self.dataset(str(v), p),
            "backbone": lambda v, p: self.name(v, backbones(), "backbone", p),
            "architecture": lambda v, p: self.name(
                v, (*architectures(), *SURVIVAL_MODELS), "architecture", p
            ),
            "sample_size": lambda v, p: None if v == "all" else self.number(key, v, int, 1, 10**9, p),
            "target_size": lambda v, p: self.number(key, v, float, 1e-6, 1.0, p),
            "seed": lambda v, p: self.number(key, v, int, 0, 2**31, p),
        }
        return checks[key](value, place)

    def initialization(self, value: Any, place: Place) -> tuple[str, int | None]:
        """ "CheXpert-20k" is 20,000 images of CheXpert, as the paper writes it."""
        text = str(value)
        if text.lower() in UNTRAINED:
            return text.lower(), None
        if text in COLLECTIONS or text in self_supervised():
            return text, None
        sized = re.fullmatch(r"(.+)-(\d+)k", text)
        if sized and text not in (*catalog.names(), *OWN):
            return self.dataset(sized[1], place), int(sized[2]) * 1000
        try:
            return self.dataset_with_images(card(text).name, place), None
        except InputError:
            known = [*UNTRAINED, *self_supervised(), *COLLECTIONS, *catalog.names(), *OWN]
            self.problem(place, f"unknown initialization `{text}`; {did_you_mean(text, known)}")
            return text, None

    def dataset_with_images(self, name: str, place: Place) -> str:
        if card(name).task == "survival":
            self.problem(place, f"{name} has survival times, no labels to pre-train on")
        return name

    def dataset(self, name: str, place: Place) -> str:
        try:
            return card(name).name
        except InputError as error:
            self.problem(place, str(error))
            return name

    def name(self, value: Any, known: Iterable[str], what: str, place: Place) -> str:
        if value not in known:
            self.problem(place, f"unknown {what} `{value}`; {did_you_mean(str(value), known)}")
        return str(value)

    def number(self, key: str, value: Any, kind: type, low: float, high: float, place: Place) -> Any:
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if not good or kind(value) != value:
            self.problem(
                place, f"`{key}` is {value!r}; a {kind.__name__} from {low:g} to {high:g} is accepted"
            )
            return value
        return kind(value)


def expand(name: str, factors: dict[str, list[Any]], settings: Settings) -> Iterator[Trial]:
    """Yield the product of a block's factors as trials, each with the hashes of its protocols."""
    hashes: dict[tuple[str, str, str], tuple[str, str]] = {}
    for trial in _product(name, factors, settings):
        key = (trial.initialization, trial.architecture, trial.target)
        if key not in hashes:
            values = protocol_values(trial), source_protocol_values(trial)
            hashes[key] = protocol_hash(values[0]), protocol_hash(values[1])
        yield replace(trial, protocol=hashes[key][0], source_protocol=hashes[key][1])


def _product(name: str, factors: dict[str, list[Any]], settings: Settings) -> Iterator[Trial]:
    unsized = (*UNTRAINED, *self_supervised())
    for (source, own_size), size, *rest in product(*(factors[key] for key in FACTORS)):
        backbone, architecture, target, target_size, seed = rest
        task = card(target).task
        yield Trial(
            experiment=name,
            initialization=source,
            sample_size=None if source in unsized else own_size or size,
            backbone=backbone,
            architecture=CLASSIFIER if task == "classification" else architecture,
            target=target,
            target_size=target_size,
            seed=seed,
            task=task,
            settings=settings,
        )
