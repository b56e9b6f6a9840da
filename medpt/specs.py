"""What determines a result, as plain data: one frozen dataclass for each kind of unit.

The digest of a specification names its result, wherever and whenever it is computed: equal digests are the
same work. Raise the `version` of a class when a change of code changes its numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from medpt.evaluation_spec import Evaluate as Evaluate
from medpt.frozen_specs import Frozen as Frozen
from medpt.frozen_specs import ImageFeatures as ImageFeatures
from medpt.normalisation import Normalisation
from medpt.protocol import TrainingProtocol, decision
from medpt.unit_spec import SPECS as SPECS
from medpt.unit_spec import UnitSpec

CLASSIFIER = "classifier"
SUPERVISED = "supervised"  # the method of a pre-training on its own labels
NO_NETWORK = "none"  # the initialization of a model without a deep network
PUBLISHED_WEIGHTS = "published weights"  # the initialization of weights that a YAML file describes
HANDCRAFTED = "handcrafted"  # stands where the backbone does, for features without a network


@dataclass(frozen=True)
class Prepare(UnitSpec):
    """A dataset, read by its reader and preprocessed into shards."""

    kind = "prepare"
    version = 2
    title = "prepare"
    verb = "preparing"
    makes_data = True
    typical_seconds = 60.0
    omitted_when_none = ("detector", "content")

    dataset: str
    fingerprint: str  # of the original files, by medpt.data.fingerprint
    pipeline: str
    split: Literal["official", "random", "all"] = "official"  # "all": nothing is tested, as of a source
    options: Mapping[str, Any] = field(default_factory=dict)  # of the reader
    sample_size: int | None = None  # training images kept, nested and class-stratified; None: all
    at_most: int | None = None  # the same, but a smaller set keeps all
    split_seed: int = 0  # one split shared by every row of a table
    detector: str | None = None  # digest of the Pretrain that finds what a pipeline with roi cuts around
    content: str | None = None  # of files edited since the first preparation, by medpt.data.contents

    def inputs(self) -> tuple[str, ...]:
        return (self.detector,) if self.detector else ()


@dataclass(frozen=True)
class Pretrain(UnitSpec):
    """One pre-training, shared by every trial that starts from it."""

    kind = "pretrain"
    version = 1
    title = "pre-train"
    verb = "pre-training"
    networks_kept = 2

    datasets: tuple[str, ...]
    data: tuple[str, ...]  # digests of Prepare, in the order of `datasets`
    backbone: str
    architecture: str  # CLASSIFIER or a segmentation network
    method: str = SUPERVISED
    seed: int = 0
    protocol: TrainingProtocol = TrainingProtocol(max_steps=60_000)
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions
    guards: tuple[str, ...] = ()  # digests of Prepare: what they share with the data is not trained on

    @cached_property
    def unguarded(self) -> "Pretrain":
        """The same pre-training on all images; its result is the same where the guards share none."""
        return replace(self, guards=())

    def inputs(self) -> tuple[str, ...]:
        common = (self.unguarded.digest,) if self.guards else ()
        return (*self.data, *self.guards, *common)


@dataclass(frozen=True)
class Finetune(UnitSpec):
    """One cell of a table for one seed: a network trained and tested on the target."""

    kind = "finetune"
    version = 1
    title = "fine-tune"
    verb = "fine-tuning"
    omitted_when_none = ("metric", "normalisation", "evaluate_by")

    initialization: str  # as in the tables: "random", "imagenet*", "CheXpert-20k", ...; or PUBLISHED_WEIGHTS
    weights: str | None  # digest of a Pretrain, sha256 or identity of published weights, None for random
    dataset: str
    data: str  # digest of Prepare
    backbone: str
    architecture: str
    target_size: float = 1.0  # fraction of the training set that is used
    seed: int = 0
    transfer_decoder: bool = False  # an ablation; the paper transfers the encoder alone
    protocol: TrainingProtocol = TrainingProtocol()
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions
    metric: str | None = None  # that stops the training and chooses its weights; None: the paper's
    normalisation: Normalisation | None = None  # of the images for these weights; None: ImageNet's
    evaluate_by: Literal["patient"] | None = None  # whose scores are averaged before a metric; None: images

    def inputs(self) -> tuple[str, ...]:
        return (self.data, self.weights) if self.weights else (self.data,)


@dataclass(frozen=True)
class Slides(UnitSpec):
    """The patches of a cohort's slides, with the measures that tell tissue from background."""

    kind = "slides"
    version = 1
    title = "slides"
    verb = "cutting"
    makes_data = True
    typical_seconds = 3_600.0

    dataset: str
    fingerprint: str
    options: Mapping[str, Any] = field(default_factory=dict)  # of the reader
    patches: Mapping[str, Any] = field(default_factory=dict)  # of medpt.survival.patches
    seed: int = 0  # of the candidates; all models see the same patches


@dataclass(frozen=True)
class Features(UnitSpec):
    """The features that a frozen encoder computes of every patch of a cohort."""

    kind = "features"
    version = 1
    title = "features"
    verb = "computing"
    typical_seconds = 600.0
    omitted_when_none = ("normalisation", "settling")

    initialization: str
    weights: str | None  # as in Finetune
    dataset: str
    data: str  # digest of Slides
    backbone: str
    seed: int = 0  # of random weights; trained ones are the same for all seeds
    normalisation: Normalisation | None = None  # as in Finetune
    settling: Literal["shuffled"] | None = (
        None  # order of what sets batch norm of random weights; None: sorted
    )


@dataclass(frozen=True)
class Survive(UnitSpec):
    """One survival model on one cohort, for one split of its patients."""

    kind = "survive"
    version = 2
    title = "survive"
    verb = "fitting"
    typical_seconds = 600.0
    omitted_when_none = ("normalisation",)

    model: str  # of medpt.survival.registry
    initialization: str  # NO_NETWORK where the model has none
    weights: str | None
    dataset: str
    data: str  # digest of Slides
    features: str | None  # digest of Features; None where the model reads pixels or hand-crafted numbers
    backbone: str
    seed: int = 0  # of the split and of the fit, the same for all models
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model, where they are not its own
    normalisation: Normalisation | None = None  # as in Finetune

    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name in (self.data, self.weights, self.features) if name)


@dataclass(frozen=True)
class Coordinates(UnitSpec):
    """The coordinates of one dataset's subset means under random linear networks (paper, equation 1)."""

    kind = "coordinates"
    version = 1
    title = "cmd"
    verb = "measuring"
    typical_seconds = 60.0

    dataset: str
    data: str  # digest of Prepare
    images: int = 2_000  # of the training set that subsets are drawn from; more change nothing
    options: Mapping[str, Any] = field(default_factory=dict)  # of medpt.analysis.settings


@dataclass(frozen=True)
class Svcca(UnitSpec):
    """How far pre-training moved each layer's representation of the same probe images (paper, Figure 6a)."""

    kind = "svcca"
    version = 2
    title = "svcca"
    verb = "measuring"
    typical_seconds = 120.0
    omitted_when_none = ("normalisation",)

    initialization: str
    weights: str  # digest of a Pretrain, or sha256 of published weights
    backbone: str
    probes: tuple[str, ...]  # digests of Prepare, in equal parts
    images: int = decision(2_000, "probe images of all datasets together")
    seed: int = 0
    normalisation: Normalisation | None = None  # as in Finetune
    fresh: int = 1  # initializations before; published weights, whose own is unknown, have several new ones

    def inputs(self) -> tuple[str, ...]:
        return (*self.probes, self.weights)


@dataclass(frozen=True)
class Filters(UnitSpec):
    """The first layer's filters before and after pre-training (paper, Figure 6b)."""

    kind = "filters"
    version = 1
    title = "filters"
    verb = "measuring"
    typical_seconds = 10.0  # it reads weights alone: 9 to 17 s beside other work

    initialization: str
    weights: str
    backbone: str
    seed: int = 0


@dataclass(frozen=True)
class Probe(UnitSpec):
    """A linear model on the frozen features of an image dataset, for each of some networks.

    Of random weights, network n is drawn by seed + n: the control of docs/statistics.md. Trained weights
    have one network.
    """

    kind = "probe"
    version = 1
    title = "probe"
    verb = "probing"
    omitted_when_none = ("normalisation", "evaluate_by", "splits")

    initialization: str
    weights: str | None  # as in Finetune
    dataset: str
    data: str  # digest of Prepare, or of Slides
    backbone: str
    seed: int = 0
    networks: int = 1
    images: int = decision(2_000, "training images that the linear model is fitted to, at most")
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions
    normalisation: Normalisation | None = None  # as in Finetune
    evaluate_by: Literal["patient"] | None = None  # as in Finetune
    splits: tuple[int, ...] | None = None  # seeds that split the patients of a cohort; None: of images


@dataclass(frozen=True)
class ImageFree(UnitSpec):
    """What is predicted of a target's test set without a look at its images: constants, file facts, ids."""

    kind = "image_free"
    version = 1
    title = "no images"
    verb = "predicting"
    typical_seconds = 2.0  # 0.2 to 0.8 s on 40 to 841 images
    omitted_when_none = ("evaluate_by", "splits")

    dataset: str
    data: str  # digest of Prepare, or of Slides
    evaluate_by: Literal["patient"] | None = None  # as in Finetune
    splits: tuple[int, ...] | None = None  # seeds that split the patients of a cohort; None: of images
