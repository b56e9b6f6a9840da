"""What determines a result, as plain data: frozen dataclasses that round-trip through JSON.

The hash of a specification is the name of its result, wherever and whenever it is computed: equal
digests are the same work. Raise a kind's number in VERSIONS when a change of code changes its numbers.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from medpt.identity import canonical_json
from medpt.protocol import TrainingProtocol, protocol_from_json

VERSIONS: dict[str, int] = {
    "prepare": 2,
    "pretrain": 1,
    "finetune": 1,
    "slides": 1,
    "features": 1,
    "survive": 2,
    "coordinates": 1,
    "svcca": 1,
    "filters": 1,
}
LATER = ("detector",)  # fields that came after results had names: None is as if they were not there
DATA_KINDS = ("prepare", "slides")  # the owner's files to what trainers read; every other kind computes

CLASSIFIER = "classifier"
SUPERVISED = "supervised"  # the method of a pre-training on its own labels
NO_NETWORK = "none"  # the initialization of a model without a deep network
HANDCRAFTED = "handcrafted"  # stands where the backbone does, for features without a network


def digest(kind: str, spec: Any) -> str:
    """64 hexadecimal digits that name the result of `spec` under today's version of `kind`."""
    plain = spec if isinstance(spec, Mapping) else asdict(spec)
    plain = {key: value for key, value in plain.items() if value is not None or key not in LATER}
    text = canonical_json({"kind": kind, "version": VERSIONS[kind], "spec": plain})
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Prepare:
    """A dataset, read by its reader and preprocessed into shards."""

    dataset: str
    fingerprint: str  # of the owner's files, medpt.data.fingerprint
    pipeline: str
    split: Literal["official", "random"] = "official"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the reader
    sample_size: int | None = None  # training images kept, nested and class-stratified; None: all
    at_most: int | None = None  # the same, but a smaller set stays whole
    split_seed: int = 0  # one split shared by every row of a table
    detector: str | None = None  # digest of the Pretrain that finds what a pipeline with roi cuts around


@dataclass(frozen=True)
class Pretrain:
    """One pre-training, shared by every trial that starts from it."""

    datasets: tuple[str, ...]
    data: tuple[str, ...]  # digests of Prepare, in the order of `datasets`
    backbone: str
    architecture: str  # CLASSIFIER or a segmentation network
    method: str = SUPERVISED
    seed: int = 0
    protocol: TrainingProtocol = TrainingProtocol(max_steps=60_000)
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions
    guards: tuple[str, ...] = ()  # digests of Prepare: what they share with the data is not trained on


@dataclass(frozen=True)
class Finetune:
    """One cell of a table for one seed: a network trained and tested on the target."""

    initialization: str  # as in the tables: "random", "imagenet*", "CheXpert-20k", ...
    weights: str | None  # digest of a Pretrain, sha256 of published weights, or None for random
    dataset: str
    data: str  # digest of Prepare
    backbone: str
    architecture: str
    target_size: float = 1.0  # fraction of the training part that is used
    seed: int = 0
    transfer_decoder: bool = False  # the paper transfers the encoder alone; an ablation
    protocol: TrainingProtocol = TrainingProtocol()
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions


@dataclass(frozen=True)
class Slides:
    """The patches of a cohort's slides, with what says whether a patch is worth looking at."""

    dataset: str
    fingerprint: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the reader
    patches: Mapping[str, Any] = field(default_factory=dict)  # of medpt.survival.patches
    seed: int = 0  # of the candidates; all models see the same patches


@dataclass(frozen=True)
class Features:
    """What a frozen encoder makes of every patch of a cohort."""

    initialization: str
    weights: str | None  # as in Finetune
    dataset: str
    data: str  # digest of Slides
    backbone: str
    seed: int = 0  # of random weights; trained ones are the same for all seeds


@dataclass(frozen=True)
class Survive:
    """One survival model on one cohort, for one split of its patients."""

    model: str  # of medpt.survival.models
    initialization: str  # NO_NETWORK where the model has none
    weights: str | None
    dataset: str
    data: str  # digest of Slides
    features: str | None  # digest of Features; None where the model reads pixels or hand-crafted numbers
    backbone: str
    seed: int = 0  # of the split and of the fit, the same for all models
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model, where they are not its own


@dataclass(frozen=True)
class Coordinates:
    """Where random linear networks put the subset means of one dataset (paper, equation 1)."""

    dataset: str
    data: str  # digest of Prepare
    images: int = 2_000  # of its training part that subsets are drawn from; more cost and change nothing
    options: Mapping[str, Any] = field(default_factory=dict)  # of medpt.analysis.cmd


@dataclass(frozen=True)
class Svcca:
    """How far pre-training moved each layer's representation of the same probe images (paper, Figure 6a)."""

    initialization: str
    weights: str  # digest of a Pretrain, or sha256 of published weights
    backbone: str
    probes: tuple[str, ...]  # digests of Prepare, in equal parts
    images: int = 2_000  # of all probes together
    seed: int = 0


@dataclass(frozen=True)
class Filters:
    """The first layer's filters before and after pre-training (paper, Figure 6b)."""

    initialization: str
    weights: str
    backbone: str
    seed: int = 0


Spec = Prepare | Pretrain | Finetune | Slides | Features | Survive | Coordinates | Svcca | Filters
KINDS: dict[str, type[Spec]] = {
    "prepare": Prepare,
    "pretrain": Pretrain,
    "finetune": Finetune,
    "slides": Slides,
    "features": Features,
    "survive": Survive,
    "coordinates": Coordinates,
    "svcca": Svcca,
    "filters": Filters,
}


def from_json(kind: str, plain: Mapping[str, Any]) -> Spec:
    """The specification that `dataclasses.asdict` and JSON turned into `plain`."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
    if "protocol" in values:
        values["protocol"] = protocol_from_json(values["protocol"])
    return KINDS[kind](**values)
