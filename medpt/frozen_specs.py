"""Frozen evaluation: which modes a trial has, and the units of those that train no network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from medpt.normalisation import Normalisation
from medpt.protocol import decision
from medpt.unit_spec import UnitSpec

Mode = Literal["finetune", "linear_probe", "knn"]
FINETUNE: Final = "finetune"
LINEAR_PROBE: Final = "linear_probe"
KNN: Final = "knn"
MODES = {"segmentation": (FINETUNE, LINEAR_PROBE), "survival": (FINETUNE,)}  # of a task; all of any other


@dataclass(frozen=True)
class ImageFeatures(UnitSpec):
    """The features that a frozen encoder computes of every image of a prepared dataset."""

    kind = "image_features"
    version = 1
    title = "image features"
    verb = "computing"
    typical_seconds = 60.0
    omitted_when_none = ("precision", "normalisation")

    initialization: str
    weights: str | None  # as in medpt.specs.Finetune
    dataset: str
    data: str  # digest of Prepare
    backbone: str
    seed: int = 0  # of random weights; trained ones are the same for all seeds
    precision: Literal["bf16"] | None = None  # None: float32
    extensions: Mapping[str, str] = field(default_factory=dict)  # by medpt.extensions.versions
    normalisation: Normalisation | None = None  # as in Finetune


@dataclass(frozen=True)
class Frozen(UnitSpec):
    """A classification target for one seed, predicted from the features of a frozen encoder.

    `strengths` are None unless the mode is linear_probe; `neighbours` and `temperature` unless it is knn.
    """

    kind = "frozen"
    version = 1
    title = "frozen evaluation"
    verb = "fitting"
    typical_seconds = 2.0  # 0.3 to 1.6 s on up to 841 images of 64 pixels
    omitted_when_none = ("metric", "evaluate_by")

    initialization: str
    weights: str | None  # as in Finetune
    dataset: str
    data: str  # digest of Prepare
    features: str  # digest of ImageFeatures
    backbone: str
    mode: Literal["linear_probe", "knn"]
    target_size: float = 1.0
    seed: int = 0
    validation_fraction: float = 0.1
    strengths: tuple[float, ...] | None = decision(
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        "values of C, of which the validation set chooses one: logistic regression with an L2 penalty on "
        "standardised features, by L-BFGS as in CLIP (Radford et al. 2021, appendix A.3); classes weigh the "
        "same",
    )
    neighbours: tuple[int, ...] | None = decision(
        (1, 5, 10, 20, 100, 200),
        "values of k, of which the validation set chooses one: 10 to 200 as in DINO (Caron et al. 2021), "
        "1 and 5 for small targets",
    )
    temperature: float | None = decision(
        0.07, "of a neighbour's vote exp(cosine similarity / temperature), as in Wu et al. 2018 and DINO"
    )
    metric: str | None = None  # by which C or k is chosen; None: the paper's
    evaluate_by: Literal["patient"] | None = None  # as in Finetune

    def __post_init__(self) -> None:
        """Remove what has no meaning in the mode, before anything hashes it."""
        for name in ("strengths",) if self.mode == KNN else ("neighbours", "temperature"):
            object.__setattr__(self, name, None)

    def inputs(self) -> tuple[str, ...]:
        return (self.data, self.features)
