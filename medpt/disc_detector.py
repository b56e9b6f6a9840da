"""Find the optic disc in a photograph with a segmentation network that was trained on another dataset.

A process loads a network once and runs it on its CPU, one image at a time: 0.18 s of a core for a photograph
of 2047 × 1755 pixels, resized to 256 × 256. The result depends on the image and the weights only; labels of
the image are not read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medpt.data import optic_disc as disc
from medpt.data.crops import Image
from medpt.data.preprocess import Point, preprocess
from medpt.data.shards import Row
from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Detector:
    """Weights of a network with two classes, the second the disc, and the pipeline of its training images."""

    weights: Path
    backbone: str
    architecture: str
    pipeline: str

    def find(self, image: Image) -> Point:
        """Return (x, y) of the optic disc in a photograph uint8 (H, W, 3) RGB, in its pixels."""
        view = disc.frame(image, self.pipeline)
        found = disc.centre(self.disc(image))
        if found is None:
            plain = "|".join(step for step in self.pipeline.split("|") if not step.startswith("clahe("))
            found = disc.brightest(preprocess(image, plain))
        return view.original(found)

    def disc(self, image: Image) -> NDArray[np.bool_]:
        """Return the pixels (S, S) in which the network gives the disc a probability above 1/2."""
        import torch

        from medpt.data.augment import normalise
        from medpt.tasks.base import forward

        prepared = torch.from_numpy(preprocess(image, self.pipeline))
        with torch.inference_mode():
            logits = forward(_network(self), normalise(prepared[None]))[0]
        return (logits.softmax(1)[0, 1] > disc.THRESHOLD).numpy()

    def locator(self, pipeline: str) -> Callable[[Image, Row], Point]:
        """Return a function for the centre of the pipeline's crop: the disc, shifted in training images."""
        side = disc.crop_side(pipeline)

        def locate(image: Image, row: Row) -> Point:
            return disc.crop_centre(self.find(image), image, row, side)

        return locate


@lru_cache(maxsize=2)
def _network(detector: Detector) -> "nn.Module":
    """Load the network in evaluation mode; InputError if the weights belong to another one."""
    import torch

    from medpt.models import weights
    from medpt.models.registry import build_segmenter

    torch.set_num_threads(1)  # tasks are the parallelism
    state, network = (
        weights.load(detector.weights),
        build_segmenter(detector.architecture, detector.backbone, 2),
    )
    if problems := weights.differences(network.state_dict(), state):
        raise InputError(f"{detector.weights}: {problem}" for problem in problems)
    network.load_state_dict(state)
    return network.eval()
