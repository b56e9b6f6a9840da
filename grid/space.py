"""A space file says what to run: a YAML of factors, expanded to trials. Nothing heavy is imported here.

A trial is one cell of the factorial for one seed. Every problem of a file is found in one pass and named
by file and line. The format is documented in docs/spaces.md.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from grid.documents import Document, Place
from medpt import extensions, selfsupervised
from medpt.data.cards import CARDS, card
from medpt.data.collections import COLLECTIONS
from medpt.errors import InputError, did_you_mean
from medpt.models import BACKBONES, architectures, backbones
from medpt.spec import CLASSIFIER, Protocol

FOLDER = Path(__file__).parent.parent / "search_spaces"
RANDOM, IMAGENET = "random", "imagenet*"
UNTRAINED = (RANDOM, IMAGENET)  # initializations that this grid does not train
SELF_SUPERVISED = {"SS-Jigsaw": "jigsaw", "SS-Context": "context"}  # the paper's name: the method
MAX_TRIALS = 50_000
PHANTOM_KEYS = ("seed", "train", "test", "size")  # of medpt.data.phantom.write
METHODS = ("supervised", *selfsupervised.METHODS)
SPACE_KEYS = (
    *("title", "size", "phantom", "datasets", "pretrain", "finetune"),
    *("transfer_decoder", "experiments"),
)
DATASET_KEYS = ("folder", "split", "pipeline", "options", "validation_fraction")
FACTORS: dict[str, list[Any] | None] = {  # None: must be given
    "initialization": None,
    "sample_size": ["all"],
    "backbone": ["resnet18"],
    "architecture": ["unet"],
    "target": None,
    "target_size": [1.0],
    "seed": [0, 1, 2],
}


@dataclass(frozen=True)
class DatasetSettings:
    """What a space says of one dataset beyond its card."""

    folder: str | None = None  # below the data folder, where the name is not enough
    split: Literal["official", "random"] | None = None  # None: the owner's if there is one, else random
    pipeline: str | None = None  # None: the modality's
    options: dict[str, Any] = field(default_factory=dict)  # of the reader
    validation_fraction: float | None = None  # of this dataset as a source; None: the protocol's


@dataclass(frozen=True)
class Settings:
    """What all trials of one file share."""

    size: int = 256  # paper, section 2.2
    phantom: dict[str, Any] | None = None  # synthetic data in place of --data
    datasets: dict[str, DatasetSettings] = field(default_factory=dict)
    pretrain: Protocol = Protocol(max_steps=60_000)
    finetune: Protocol = Protocol()
    transfer_decoder: bool = False  # paper, 4.2: "only the encoder"

    def of(self, dataset: str) -> DatasetSettings:
        return self.datasets.get(dataset, DatasetSettings())


@dataclass(frozen=True)
class Trial:
    """One cell of a table for one seed."""

    experiment: str
    initialization: str
    sample_size: int | None
    backbone: str
    architecture: str
    target: str
    target_size: float
    seed: int
    settings: Settings = field(repr=False, compare=False, default=Settings())

    @property
    def label(self) -> str:
        """The initialization as the tables write it: "CheXpert-20k" for 20,000 images of CheXpert."""
        return self.initialization + (f"-{thousands(self.sample_size)}" if self.sample_size else "")

    def factors(self) -> dict[str, Any]:
        names = ("experiment", "sample_size", "backbone", "architecture", "target", "target_size", "seed")
        return {"initialization": self.label, "source": self.initialization} | {
            name: getattr(self, name) for name in names
        }


@dataclass(frozen=True)
class Space:
    name: str
    title: str
    path: Path
    settings: Settings
    trials: tuple[Trial, ...]


def self_supervised() -> dict[str, str]:
    """The method of each initialization without labels; one of an extension is called "SS-" and its name."""
    known = extensions.names("method", METHODS)
    return SELF_SUPERVISED | {f"SS-{name}": name for name in known if name not in METHODS}


def thousands(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def load(name_or_file: str) -> Space:
    """The space of that name in search_spaces/, or of that file.

    Raises InputError naming file, line, key and what is accepted, for all problems at once.
    """
    path = find(name_or_file)
    return _Reader(Document(path)).space()


def find(name_or_file: str) -> Path:
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        return path
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if name_or_file not in known:
        raise InputError(f"no space is called `{name_or_file}`; {did_you_mean(name_or_file, known)}")
    return FOLDER / f"{name_or_file}.yaml"


class _Reader:
    """Reads one document, collecting every problem before it raises."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []

    def space(self) -> Space:
        data = self.mapping(self.document.data, ())
        self.unknown_keys(data, SPACE_KEYS, ())
        settings = self.settings(data)
        trials = list(self.trials(data.get("experiments"), settings))
        if not self.problems and len(trials) > MAX_TRIALS:
            self.problem((), f"{len(trials):,} trials; at most {MAX_TRIALS:,} in one space")
        if self.problems:
            raise InputError(self.problems)
        path = self.document.path
        return Space(
            path.stem, str(data.get("title", path.stem)), path, settings, tuple(dict.fromkeys(trials))
        )

    def problem(self, place: Place, text: str) -> None:
        self.problems.append(f"{self.document.where(place)}: {text}")

    def mapping(self, value: Any, place: Place) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(place, f"`{_name(place)}` is {value!r}; a mapping of keys to values is accepted")
            return {}
        return value

    def unknown_keys(self, data: dict[str, Any], known: Iterable[str], place: Place) -> None:
        for key in data:
            if key not in known:
                self.problem((*place, key), f"unknown key `{key}`; {did_you_mean(key, known)}")

    def settings(self, data: dict[str, Any]) -> Settings:
        size = data.get("size", Settings.size)
        if not isinstance(size, int) or not 32 <= size <= 1024 or size % 32:
            self.problem(("size",), f"`size` is {size!r}; a multiple of 32 from 32 to 1024 is accepted")
        phantom = self.mapping(data["phantom"], ("phantom",)) if "phantom" in data else None
        self.unknown_keys(phantom or {}, PHANTOM_KEYS, ("phantom",))
        pretrain, finetune = Settings().pretrain, Settings().finetune
        return Settings(
            size=size,
            phantom=phantom,
            datasets=self.datasets(data),
            pretrain=self.protocol(data, "pretrain", pretrain),
            finetune=self.protocol(data, "finetune", finetune),
            transfer_decoder=self.flag(data, "transfer_decoder"),
        )

    def flag(self, data: dict[str, Any], key: str) -> bool:
        value = data.get(key, False)
        if not isinstance(value, bool):
            self.problem((key,), f"`{key}` is {value!r}; true or false is accepted")
        return bool(value)

    def datasets(self, data: dict[str, Any]) -> dict[str, DatasetSettings]:
        found = {}
        for name, value in self.mapping(data.get("datasets"), ("datasets",)).items():
            place = ("datasets", name)
            value = self.mapping(value, place)
            self.unknown_keys(value, DATASET_KEYS, place)
            canonical = self.dataset(name, place)
            if value.get("split") not in (None, "official", "random"):
                self.problem(
                    (*place, "split"), f"`split` is {value['split']!r}; official or random is accepted"
                )
            found[canonical] = DatasetSettings(**{k: v for k, v in value.items() if k in DATASET_KEYS})
        return found

    def protocol(self, data: dict[str, Any], key: str, default: Protocol) -> Protocol:
        value = self.mapping(data.get(key), (key,))
        known = [item.name for item in fields(Protocol)]
        self.unknown_keys(value, known, (key,))
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        protocol = replace(default, **given)
        for name, text in protocol.problems():
            self.problem((key, name), text)
        return protocol

    def dataset(self, name: str, place: Place) -> str:
        try:
            return card(name).name
        except InputError as error:
            self.problem(place, str(error))
            return name

    def trials(self, experiments: Any, settings: Settings) -> Iterator[Trial]:
        if not isinstance(experiments, list) or not experiments:
            self.problem(("experiments",), "`experiments` is empty; a list of blocks of factors is accepted")
            return
        for number, block in enumerate(experiments):
            place: Place = ("experiments", number)
            block = self.mapping(block, place)
            self.unknown_keys(block, ("name", *FACTORS), place)
            factors = {key: self.factor(block, key, place) for key in FACTORS}
            self.published(factors, place)
            if all(factors.values()):
                yield from self.expand(str(block.get("name", number)), factors, settings)

    def published(self, factors: dict[str, list[Any]], place: Place) -> None:
        """Nobody published ImageNet weights of an extension's backbone."""
        own = [name for name in factors["backbone"] if name in backbones() and name not in BACKBONES]
        if own and (IMAGENET, None) in factors["initialization"]:
            accepted = f"{IMAGENET} is accepted on {', '.join(BACKBONES)}"
            self.problem(
                (*place, "backbone"), f"no ImageNet weights are published for {', '.join(own)}; {accepted}"
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
            "architecture": lambda v, p: self.name(v, architectures(), "architecture", p),
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
        if sized and text not in CARDS:
            return self.dataset(sized[1], place), int(sized[2]) * 1000
        try:
            return card(text).name, None
        except InputError:
            known = [*UNTRAINED, *self_supervised(), *COLLECTIONS, *CARDS]
            self.problem(place, f"unknown initialization `{text}`; {did_you_mean(text, known)}")
            return text, None

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

    def expand(self, name: str, factors: dict[str, list[Any]], settings: Settings) -> Iterator[Trial]:
        if self.problems:
            return
        unsized = (*UNTRAINED, *self_supervised())
        for start, size, *rest in product(*(factors[key] for key in FACTORS)):
            backbone, architecture, target, target_size, seed = rest
            source, own_size = start
            size = None if source in unsized else own_size or size
            if card(target).task == "classification":
                architecture = CLASSIFIER
            yield Trial(name, source, size, backbone, architecture, target, target_size, seed, settings)


def _name(place: Place) -> str:
    return ".".join(map(str, place)) or "the file"
