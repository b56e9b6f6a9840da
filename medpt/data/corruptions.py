"""Corrupted copies of prepared images: five kinds at three strengths, the same pixels in every run.

They imitate what differs between cameras and hospitals, after Hendrycks and Dietterich 2019 (ICLR), at
strengths for medical images. docs/test-sets.md has the formulas. A network is tested on them, never trained.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.leakage import FilteredLoader
from medpt.identity import stream_seed

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]  # (S, S, 3)

AMOUNTS: dict[str, tuple[float, float, float]] = {  # by kind, of strengths 1, 2 and 3
    "blur": (1 / 128, 1 / 64, 1 / 32),  # standard deviation, as a share of the image's side
    "noise": (0.04, 0.08, 0.16),  # standard deviation, as a share of 255
    "jpeg": (50, 25, 10),  # quality
    "contrast": (0.75, 0.5, 0.25),  # factor of the distance from the image's mean
    "brightness": (0.1, 0.2, 0.3),  # what is added, as a share of 255
}
KINDS = tuple(AMOUNTS)
STRENGTHS = (1, 2, 3)


@dataclass(frozen=True)
class Corruption:
    """One kind at one strength, 1 to 3."""

    kind: str
    strength: int

    @property
    def name(self) -> str:
        """The name of the corrupted test set: `blur-2`."""
        return f"{self.kind}-{self.strength}"

    def apply(self, image: Pixels, number: int) -> Pixels:
        """Return the corrupted copy of a prepared image, uint8 (S, S, 3).

        `number` is its row in the prepared data, which draws the noise: equal at all strengths. What exceeds
        0 to 255 is cut off, and values are rounded to the nearest whole number.
        """
        values = CHANGES[self.kind](image, AMOUNTS[self.kind][self.strength - 1], number)
        changed: Pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
        return changed


def _blur(image: Pixels, share: float, number: int) -> NDArray[Any]:
    """A Gaussian filter over the image mirrored at its border, cut off at four standard deviations."""
    from scipy.ndimage import gaussian_filter

    deviation = share * image.shape[0]
    blurred: NDArray[Any] = gaussian_filter(
        image.astype(np.float64), (deviation, deviation, 0), mode="mirror"
    )
    return blurred


def _noise(image: Pixels, share: float, number: int) -> NDArray[Any]:
    """Gaussian noise, independent for each pixel and channel; one draw for the channels of a grey image."""
    generator = np.random.Generator(np.random.Philox(key=stream_seed(0, "noise", number)))
    draws = generator.standard_normal(image.shape)
    is_grey = bool((image == image[..., :1]).all())
    return image + 255 * share * (draws[..., :1] if is_grey else draws)


def _jpeg(image: Pixels, quality: float, number: int) -> NDArray[Any]:
    """JPEG with the standard's tables and 4:2:0 subsampling, decoded again."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(file) as decoded:
        return np.asarray(decoded)


def _contrast(image: Pixels, factor: float, number: int) -> NDArray[Any]:
    mean = image.mean()
    return mean + factor * (image - mean)


def _brightness(image: Pixels, share: float, number: int) -> NDArray[Any]:
    return image + 255 * share


CHANGES: dict[str, Callable[[Pixels, float, int], NDArray[Any]]] = {
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "contrast": _contrast,
    "brightness": _brightness,
}


@dataclass(frozen=True)
class CorruptedLoader(FilteredLoader):
    """A loader whose scans show corrupted copies; labels and masks are those of the images."""

    corruption: Corruption

    def scan(self, rows: np.ndarray, batch_size: int) -> "Iterator[tuple[Tensor, Tensor]]":
        import torch

        start = 0
        for images, targets in self.feed.scan(rows, batch_size):
            numbered = zip(images.cpu().numpy(), rows[start : start + len(images)].tolist(), strict=True)
            changed = np.stack([self.corruption.apply(image, number) for image, number in numbered])
            start += len(images)
            yield torch.from_numpy(changed).to(images.device), targets
