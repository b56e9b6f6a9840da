"""How pixels become the numbers that a network is given; it belongs to the weights, not to the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """A pixel p in 0..255 becomes (low + p / 255 * (high - low) - mean) / std, channel by channel (RGB).

    `value_range` is (low, high). It is (0, 1) for torchvision's weights; weights that were trained on plain
    pixels have (0, 255) with mean 0 and standard deviation 1.
    """

    mean: Channels
    std: Channels
    value_range: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Normalisation":
        """Build a normalisation from the mapping that a specification's JSON has of it."""
        return cls(**{name: tuple(numbers) for name, numbers in values.items()})

    @property
    def unless_default(self) -> "Normalisation | None":
        """None for ImageNet's, which specifications do not spell out: equal work has equal digests."""
        return None if self == IMAGENET else self


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
