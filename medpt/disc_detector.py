"""The optic disc in a photograph, found by a segmentation network that was trained on another dataset.

A process loads a network once and runs it on its CPU, an image at a time: 0.18 s of a core for a photograph
of 2047 x 1755 seen at 256 x 256. What is found depends on the image and the weights alone: labels of the
image are not there to be read.
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
from medpt.data.preprocess import Point, preprocess, roi_side
from medpt.data.shards import Row
from medpt.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Detector:
    """Weights of a network with two classes, disc the second, and the pipeline of the images it knows."""

    weights: Path
    backbone: str
    architecture: str
    pipeline: str

    def find(self, image: Image) -> Point:
        """(x, y) of the optic disc in a photograph uint8 (H, W, 3) RGB, in its pixels."""
        view = disc.frame(image, self.pipeline)
        found = disc.centre(self.disc(image))
        if found is None:
            plain = "|".join(step for step in self.pipeline.split("|") if not step.startswith("clahe("))
            found = disc.brightest(preprocess(image, plain))
        return view.original(found)

    def disc(self, image: Image) -> NDArray[np.bool_]:
        """(S, S): where the network gives the disc more than half of the probability."""
        import torch

        from medpt.data.augment import normalise
        from medpt.tasks.base import forward

        prepared = torch.from_numpy(preprocess(image, self.pipeline))
        with torch.inference_mode():
            logits = forward(_network(self), normalise(prepared[None]))[0]
        return (logits.softmax(1)[0, 1] > disc.THRESHOLD).numpy()

    def locator(self, pipeline: str) -> Callable[[Image, Row], Point]:
        """Where to cut for `pipeline`: at the disc; of training images a little beside (medpt.data.disc)."""
        side = roi_side(pipeline)
        if side is None:
            raise InputError(f"{pipeline}: cuts nothing around an optic disc")

        def locate(image: Image, row: Row) -> Point:
            place = self.find(image)
            if row.split == "train":
                place = disc.shaken(place, row.record.id, side)
            height, width = image.shape[:2]
            return min(max(place[0], 0.0), width - 1.0), min(max(place[1], 0.0), height - 1.0)

        return locate


@lru_cache(maxsize=2)
def _network(detector: Detector) -> "nn.Module":
    """In evaluation mode. InputError where the weights are not of that network."""
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
