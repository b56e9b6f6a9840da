"""What a space consists of: trials and analyses, with the settings that they share.

A trial is one cell of the factorial for one seed; an analysis looks at data or weights and trains nothing.
grid/space/reader.py reads them from YAML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from medpt import extensions
from medpt.data import catalog
from medpt.data.card import DatasetCard
from medpt.frozen_specs import FINETUNE, Mode
from medpt.models.weights_file import WeightsFile
from medpt.protocol import SELF_SUPERVISED_METHODS, TrainingProtocol
from medpt.specs import CLASSIFIER, NO_NETWORK
from medpt.survival.registry import SURVIVAL_MODELS

RANDOM, IMAGENET = "random", "imagenet*"
UNTRAINED = (RANDOM, IMAGENET, NO_NETWORK)  # initializations of every space that this grid does not train
SELF_SUPERVISED = {"SS-Jigsaw": "jigsaw", "SS-Context": "context"}  # the paper's name: the method
PAPER_METRICS = {"classification": "auc", "multilabel": "auc", "segmentation": "miou", "survival": "c_index"}
METHODS = ("supervised", *SELF_SUPERVISED_METHODS)


@dataclass(frozen=True)
class DatasetSettings:
    """What a space says of one dataset beyond its card."""

    folder: str | None = None  # below the data folder, where the name is not enough; with a card absolute
    card: str | None = None  # the file of a card that does not lie in the folder, absolute
    split: Literal["official", "random"] | None = None  # None: the owner's if there is one, else random
    pipeline: str | None = None  # None: the card's, or the modality's
    roi: int | None = None  # side in pixels of the square around the optic disc; of targets, and REFUGE-OD
    options: dict[str, Any] = field(default_factory=dict)  # of the reader
    validation_fraction: float | None = None  # of this dataset as a source; None: the protocol's
    patches: dict[str, Any] = field(default_factory=dict)  # of medpt.survival.patches, for slides
    phantom: dict[str, Any] = field(default_factory=dict)  # where its synthetic data differ from the space's
    partial: bool = False  # whether fewer images than published are accepted
    test_also: tuple[str, ...] = ()  # as a target: datasets that its networks are also tested on
    corruptions: tuple[str, ...] = ()  # as a target: kinds of medpt.data.corruptions, at all strengths
    subgroup: str | None = None  # as a target: a column whose values divide its test items


@dataclass(frozen=True)
class Settings:
    """What all trials of one file share."""

    size: int = 256  # paper, section 2.2
    phantom: dict[str, Any] | None = None  # synthetic data instead of --data
    datasets: dict[str, DatasetSettings] = field(default_factory=dict)
    pretrain: TrainingProtocol = TrainingProtocol(max_steps=60_000)
    finetune: TrainingProtocol = TrainingProtocol()
    mode: Mode = FINETUNE
    factors: Mapping[str, Any] = field(default_factory=dict)  # of PROTOCOL_FIELDS, what a block varies
    transfer_decoder: bool = False  # paper, 4.2: "only the encoder"
    survival: dict[str, dict[str, Any]] = field(default_factory=dict)  # options by model
    metrics: Literal["paper"] | None = None  # headline metrics; None: those of grid/space/protocols.py
    controls: bool = False  # of each target: grid/plan/controls.py
    keep: Literal["best", "none"] = "best"  # the weights of fine-tunings
    random_networks: int | None = None  # of the control; None: by task
    probes: bool = False  # of each initialization on each target, before anything is trained on it
    cards: Mapping[str, DatasetCard] = field(default_factory=dict)  # of users' datasets, by name
    weights: Mapping[str, WeightsFile] = field(default_factory=dict)  # published, by initialization

    def trains(self, initialization: str) -> bool:
        """Whether this grid pre-trains the initialization."""
        return initialization not in (*UNTRAINED, *self.weights)

    def of(self, dataset: str) -> DatasetSettings:
        return self.datasets.get(dataset, DatasetSettings())

    def card(self, dataset: str) -> DatasetCard:
        return catalog.card(dataset, self.cards)

    def folds(self, target: str) -> int:
        """How many splits a target is tested on; a `split` of the space's is one."""
        return 1 if self.of(target).split else self.card(target).folds


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
    task: str = ""
    protocol: str = ""  # names the settings that its result depends on: grid/space/protocols.py
    source_protocol: str = ""  # the same of its pre-training; "" where the grid trains none
    headline: str = ""  # the metric that chooses its weights and is shown in its tables
    pretrain_seed: int | None = None  # of its pre-training; None where the grid trains none
    fold: int | None = None  # of repeated splits by patient; None where there is one split
    settings: Settings = field(repr=False, compare=False, default=Settings())

    @property
    def label(self) -> str:
        """The initialization as the tables write it: "CheXpert-20k" for 20,000 images of CheXpert."""
        return initialization_label(self.initialization, self.sample_size)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the settings; the initialization as its `source` and its label."""
        values = {name: getattr(self, name) for name in _STORED}
        return {"initialization": self.label, "source": self.initialization} | values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Trial":
        """Read a stored trial; one of version 0.3.1 has no task, no protocols, and the paper's metric.

        It pre-trained with seed 0.
        """
        stored = {name: values[name] for name in _STORED if name in values}
        task = task_of(values["architecture"])
        seed = None if values["source"] in UNTRAINED else 0
        older = {"task": task, "headline": PAPER_METRICS[task], "pretrain_seed": seed}
        return cls(initialization=values["source"], **older | stored)


_STORED = [item.name for item in fields(Trial) if item.name not in ("initialization", "settings")]


@dataclass(frozen=True)
class Analysis:
    """What an analysis looks at: datasets (`cmd`), or initializations (`svcca`, `filters`) by label."""

    kind: Literal["cmd", "svcca", "filters"]
    datasets: tuple[tuple[str, int | None], ...] = ()  # with sample size: of cmd, or svcca's probe images
    initializations: tuple[tuple[str, int | None], ...] = ()  # source and sample size
    backbone: str = "resnet18"
    pretrain_seeds: tuple[int, ...] = (0,)  # of the initializations that the grid trains
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    settings: Settings = field(repr=False, compare=False, default=Settings())

    def to_json(self) -> dict[str, Any]:
        """Return everything but the settings, and the seeds of pre-trainings unless they are [0]."""
        left_out = ("settings", "pretrain_seeds") if self.pretrain_seeds == (0,) else ("settings",)
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in left_out}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Analysis":
        """Read a stored analysis; one of version 0.3.1 has its kind alone."""
        return cls(
            kind=values["kind"],
            datasets=tuple(map(tuple, values.get("datasets", ()))),
            initializations=tuple(map(tuple, values.get("initializations", ()))),
            backbone=values.get("backbone", "resnet18"),
            pretrain_seeds=tuple(values.get("pretrain_seeds", (0,))),
            options=values.get("options", {}),
        )


@dataclass(frozen=True)
class Space:
    name: str
    title: str
    path: Path
    settings: Settings  # of the file itself; trials carry those of the file that they come from
    trials: tuple[Trial, ...]
    analyses: tuple[Analysis, ...] = ()
    select: tuple[str, ...] = ()  # fields of the protocol, whose value is selected by the validation set
    selection: str = ""  # of its trials, such as `--filter seed=1`; "" for all
    notes: tuple[str, ...] = ()  # on what its file asks for and it does not have

    @property
    def cards(self) -> Mapping[str, DatasetCard]:
        """The cards of the users' datasets that it may name."""
        return self.settings.cards


def self_supervised() -> dict[str, str]:
    """The method of each initialization without labels; one of an extension is called "SS-" and its name."""
    known = extensions.names("method", METHODS)
    return SELF_SUPERVISED | {f"SS-{name}": name for name in known if name not in METHODS}


def task_of(architecture: str) -> str:
    """Return the task of the targets that an architecture takes."""
    if architecture == CLASSIFIER:
        return "classification"
    return "survival" if architecture in SURVIVAL_MODELS else "segmentation"


def network_id(architecture: str, backbone: str) -> str:
    """Return a network as spaces, filters and the terminal write it: `unet/resnet18`, `resnet18`."""
    return backbone if architecture == CLASSIFIER else f"{architecture}/{backbone}"


def initialization_label(initialization: str, sample_size: int | None) -> str:
    return initialization + (f"-{thousands(sample_size)}" if sample_size else "")


def thousands(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)
