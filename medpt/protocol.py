"""How networks are trained: every value of the paper, and a decision where it names none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EDGE_LOSSES = ("alpha", "equal", "lovasz")
WEIGHTINGS = ("inverse_frequency", "sqrt_inverse_frequency", "log_inverse", "none")


@dataclass(frozen=True)
class TrainingProtocol:
    """How a network is trained. Every value the paper gives is its; the others are decisions."""

    learning_rate: float = 1e-4  # paper, section 2.2: Adam, 1e-4, betas and eps as published
    batch_size: int = 16  # paper, section 2.2
    patience: int = 20  # paper: "stop improving for 20 iterations", read as 20 validations
    improvement: float = 1e-4  # smaller gains of the validation metric are noise at four decimals
    min_steps: int = 3_000  # tiny sets still learn when twenty validations stand still
    max_steps: int = 30_000  # bounds a run whose metric creeps; grids need an end
    evaluate_every: int | None = None  # None: one eightfold-expanded epoch, but 500 steps at the most
    validation_fraction: float = 0.1  # the paper names none; stopping on the test set would leak
    weighting: str | None = None  # None: the task's default in medpt/losses.py
    weight_clip: tuple[float, float] = (0.1, 20.0)  # keeps a class below 1 % of pixels from ruling the loss
    edge_loss: str = "alpha"  # of ET-Net: 0.3 of the segmentation's and 0.7 of the edges', as its authors

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
