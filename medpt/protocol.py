"""How networks are trained: every value of the paper, and a decision where it names none."""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

from medpt.precision import resolve_precision
from medpt.schema import strict_dataclass

T = TypeVar("T")
SELF_SUPERVISED_METHODS = ("jigsaw", "context")  # methods of pre-training without labels
EPOCHS, LEAST_STEPS, MOST_STEPS = 20, 5_000, 20_000  # of self-supervised pre-training

Weighting = Literal["inverse_frequency", "sqrt_inverse_frequency", "log_inverse", "none"]
EdgeLoss = Literal["alpha", "equal", "lovasz"]
Precision = Literal["fp32", "bf16", "auto"]
Loss = Literal["balanced_ce", "ce", "dice_ce", "focal"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine"]
Augment = Literal["none", "dihedral", "standard"]
Freeze = Literal["none", "encoder"]
IMPLICIT = {  # what None stands for, of fields that are younger than stored results
    "loss": "balanced_ce",
    "optimizer": "adam",
    "schedule": "constant",
    "augment": "dihedral",
    "freeze": "none",
    "precision": "fp32",
}
EDGE_NETWORK = "etnet"  # which has losses of its own, by `edge_loss`
UNWEIGHTED = ("ce", "dice_ce")  # losses without class weights


def decision(default: T, reason: str, accepted: str = "", **rules: Any) -> T:
    """Declare a dataclass field with its default and the reason for it, which the report prints.

    `accepted` says which values are, such as "a number above 0", `rules` makes medpt.schema check it: gt=0.
    """
    described = {"description": accepted} if accepted else {}
    declared: T = field(default=default, metadata={"reason": reason, **described, **rules})
    return declared


def choice(values: Any, reason: str, default: Any = None) -> Any:
    """Declare a dataclass field that takes one of the `values` of a Literal, as `decision` does."""
    return decision(default, reason, f"one of {', '.join(get_args(values))}")


@strict_dataclass
class TrainingProtocol:
    """How a network is trained: the paper's values where it gives them, decisions elsewhere."""

    omitted_when_none: ClassVar[tuple[str, ...]] = tuple(IMPLICIT)

    learning_rate: float = decision(
        1e-4,
        "of Adam, betas and epsilon as published (paper, section 2.2); with a schedule, of step 1",
        "a number above 0, below 10",
        gt=0,
        lt=10,
    )
    batch_size: int = decision(
        16, "images in a step (paper, section 2.2)", "a whole number from 2 to 65536", ge=2, le=65_536
    )
    patience: int = decision(
        20,
        "evaluations without improvement before stopping (the paper's “20 iterations”)",
        "a whole number from 1",
        ge=1,
    )
    improvement: float = decision(
        1e-4, "smallest gain of the validation metric that counts as an improvement", "a number from 0", ge=0
    )
    min_steps: int = decision(
        3_000,
        "never stop before this step: small datasets improve again after 20 evaluations",
        "a whole number from 0 to max_steps",
        ge=0,
    )
    max_steps: int = decision(
        30_000,
        "always stop at this step: a metric that rises slowly would never stop",
        "a whole number from 1",
        ge=1,
    )
    evaluate_every: int | None = decision(
        None,
        "steps between evaluations; unset: one epoch of the eightfold data, at most 500 steps",
        "a whole number from 1",
        ge=1,
    )
    validation_fraction: float = decision(
        0.1,
        "of the training set, by patient; with 0 the last weights are tested",
        "a fraction from 0 to below 1",
        ge=0,
        lt=1,
    )
    weighting: Weighting | None = choice(
        Weighting,
        "of classes in the balanced cross entropy; the paper gives no formula; unset: the task's default",
    )
    weight_clip: tuple[float, float] = decision(
        (0.1, 20.0),
        "bounds of a class weight: classes below 1 % of the pixels do not dominate the loss",
        "a list of two numbers, low and high",
    )
    edge_loss: EdgeLoss = choice(
        EdgeLoss, "of ET-Net: 0.3 of the segmentation loss and 0.7 of the edge loss, as its authors", "alpha"
    )
    precision: Precision | None = choice(
        Precision, "of the network's passes, bf16 where set; losses and metrics are always fp32"
    )
    loss: Loss | None = choice(
        Loss,
        "balanced cross entropy (paper, section 2.2); focal with gamma 2, weighted alike (Lin et al. 2017)",
    )
    optimizer: Optimizer | None = choice(
        Optimizer,
        "Adam (paper, section 2.2); AdamW decays weights by 0.01 of the rate, SGD has a momentum of 0.9",
    )
    schedule: Schedule | None = choice(
        Schedule,
        "of the learning rate; cosine falls from its value towards 0 at max_steps (Loshchilov, Hutter 2017)",
    )
    augment: Augment | None = choice(
        Augment,
        "flips and quarter turns (paper, section 2.2); standard also zooms and changes contrast and light",
    )
    freeze: Freeze | None = choice(
        Freeze,
        "of the network; with encoder its weights and the statistics of its batch norm stay as they are",
    )

    def __post_init__(self) -> None:
        """Give one spelling to one training, before anything hashes it.

        Values of IMPLICIT become None, and so do class weights that a loss ignores; the precision `auto` is
        resolved.
        """
        object.__setattr__(self, "precision", resolve_precision(self.precision))
        for name, value in IMPLICIT.items():
            if getattr(self, name) == value:
                object.__setattr__(self, name, None)
        if self.loss in UNWEIGHTED:
            object.__setattr__(self, "weighting", None)

    def value(self, name: str) -> Any:
        """Return a field; the value that None stands for, where it is one of IMPLICIT."""
        value = getattr(self, name)
        return IMPLICIT.get(name) if value is None else value

    def problems(self) -> list[tuple[str, str]]:
        """Return the field and what is wrong with it, of values that do not fit together."""
        (low, high), found = self.weight_clip, []
        if self.min_steps > self.max_steps:
            words = f"at most max_steps, {self.max_steps}, is accepted"
            found.append(("min_steps", f"`min_steps` is {self.min_steps}; {words}"))
        if not 0 < low <= high:
            found.append(("weight_clip", f"`weight_clip` is {low}, {high}; 0 < low <= high is accepted"))
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainingProtocol":
        """Build a protocol from the mapping that a specification's JSON has of it."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)


def losses_of(task: str, architecture: str) -> tuple[str, ...]:
    """Return the values of `loss` that a task and a network take."""
    if architecture == EDGE_NETWORK:
        return ("balanced_ce",)
    return tuple(name for name in get_args(Loss) if task == "segmentation" or name != "dice_ce")


def self_supervised_protocol(train_images: int, base: TrainingProtocol) -> TrainingProtocol:
    """Return `base` with 20 epochs of `train_images`, but 5,000 to 20,000 steps, validated every 250 steps.

    An epoch is every image once. Wen et al. 2021 give neither steps nor a stop rule; these are decisions.
    """
    epochs = -(-EPOCHS * train_images // base.batch_size)
    steps = min(max(epochs, LEAST_STEPS), MOST_STEPS)
    return replace(base, max_steps=steps, min_steps=min(base.min_steps, steps), evaluate_every=250)
