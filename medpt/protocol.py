"""How networks are trained: every value of the paper, and a decision where it names none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

EDGE_LOSSES = ("alpha", "equal", "lovasz")
WEIGHTINGS = ("inverse_frequency", "sqrt_inverse_frequency", "log_inverse", "none")


T = TypeVar("T")


def decision(default: T, reason: str) -> T:
    """Declare a dataclass field with its default and the reason for it, which the report prints."""
    declared: T = field(default=default, metadata={"reason": reason})
    return declared


@dataclass(frozen=True)
class TrainingProtocol:
    """How a network is trained: the paper's values where it gives them, decisions elsewhere."""

    learning_rate: float = decision(1e-4, "of Adam, betas and epsilon as published (paper, section 2.2)")
    batch_size: int = decision(16, "images in a step (paper, section 2.2)")
    patience: int = decision(
        20, "evaluations without improvement before stopping (the paper's “20 iterations”)"
    )
    improvement: float = decision(
        1e-4, "smallest gain of the validation metric that counts as an improvement"
    )
    min_steps: int = decision(
        3_000, "never stop before this step: small datasets improve again after 20 evaluations"
    )
    max_steps: int = decision(30_000, "always stop at this step: a metric that rises slowly would never stop")
    evaluate_every: int | None = decision(
        None, "steps between evaluations; unset: one epoch of the eightfold data, at most 500 steps"
    )
    validation_fraction: float = decision(
        0.1, "of the training set, by patient; with 0 the last weights are tested"
    )
    weighting: str | None = decision(
        None,
        "of classes in the balanced cross entropy; the paper gives no formula; unset: the task's default",
    )
    weight_clip: tuple[float, float] = decision(
        (0.1, 20.0), "bounds of a class weight: classes below 1 % of the pixels do not dominate the loss"
    )
    edge_loss: str = decision(
        "alpha", "of ET-Net: 0.3 of the segmentation loss and 0.7 of the edge loss, as its authors"
    )

    def problems(self) -> list[tuple[str, str]]:
        """(field, what is wrong and what is accepted) for every value out of range."""
        accepted = {
            "learning_rate": (float, lambda v: 0 < v < 10, "a number above 0"),
            "batch_size": (int, lambda v: 2 <= v <= 65_536, "a whole number from 2 (BatchNorm needs two)"),
            "patience": (int, lambda v: v >= 1, "a whole number from 1"),
            "improvement": (float, lambda v: v >= 0, "a number from 0"),
            "min_steps": (int, lambda v: 0 <= v <= self.max_steps, "a whole number from 0 to max_steps"),
            "max_steps": (int, lambda v: v >= 1, "a whole number from 1"),
            "evaluate_every": (
                int | None,
                lambda v: v is None or v >= 1,
                "a whole number from 1, or nothing",
            ),
            "validation_fraction": (float, lambda v: 0 <= v < 1, "a fraction from 0 to below 1"),
            "weighting": (
                str | None,
                lambda v: v is None or v in WEIGHTINGS,
                f"one of {', '.join(WEIGHTINGS)}",
            ),
            "edge_loss": (str, lambda v: v in EDGE_LOSSES, f"one of {', '.join(EDGE_LOSSES)}"),
            "weight_clip": (tuple, lambda v: len(v) == 2 and 0 < v[0] <= v[1], "two numbers, low and high"),
        }
        found = []
        for name, (kind, good, words) in accepted.items():
            value = getattr(self, name)
            kind = int | float if kind is float else kind
            if isinstance(value, bool) or not isinstance(value, kind) or not good(value):
                found.append((name, f"`{name}` is {value!r}; {words} is accepted"))
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainingProtocol":
        """Build a protocol from the mapping that a specification's JSON has of it."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)
