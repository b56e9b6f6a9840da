"""The specification of a test of a fine-tuned network on other images than its target's test set."""

from dataclasses import dataclass
from typing import Literal

from medpt.unit_spec import UnitSpec


@dataclass(frozen=True)
class Evaluate(UnitSpec):
    """A kept network on an external test set, or on a corrupted copy of its own.

    Of an external set all images are tested but those that show a training image of the target. The last
    two digests say what the network was trained on: the target's data, and those of its pre-training that
    can have images of the external set.
    """

    kind = "evaluate"
    version = 1
    title = "evaluate"
    verb = "evaluating"
    typical_seconds = 5.0
    omitted_when_none = ("corruption", "strength", "evaluate_by", "target_data")

    network: str  # digest of Finetune
    dataset: str
    data: str  # digest of Prepare
    corruption: str | None = None  # one of medpt.data.corruptions.KINDS
    strength: int | None = None  # of the corruption, 1 to 3
    evaluate_by: Literal["patient"] | None = None  # as in Finetune
    target_data: str | None = None  # digest of Prepare; None of a corrupted copy
    source_data: tuple[str, ...] = ()  # digests of Prepare

    def inputs(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.data, self.network, self.target_data, *self.source_data)))
