"""How long a training step takes on this machine: measured on a CPU, computed for a GPU."""

import time
from collections.abc import Callable
from functools import cache

from grid.plan.cost import GFLOPS
from medpt.models.footprint import footprint
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER

MEASURED = 64  # side in pixels of the images in the steps that are timed
STEPS = 3


def step_seconds(architecture: str, backbone: str, *, on_gpu: bool) -> Callable[[int], float]:
    """Return the seconds of a training step by the side of its images."""
    if on_gpu:
        return lambda size: computed(architecture, backbone, size, "GPU")
    factor = measure(architecture, backbone) / computed(architecture, backbone, MEASURED, "CPU core")
    return lambda size: factor * computed(architecture, backbone, size, "CPU core")


def computed(architecture: str, backbone: str, size: int, device: str) -> float:
    """Return the seconds that the arithmetic of grid.plan.cost gives a step."""
    gmacs = footprint(architecture, backbone).gmacs
    return 6 * gmacs * (size / 256) ** 2 * TrainingProtocol().batch_size / GFLOPS[device]


@cache
def measure(architecture: str, backbone: str) -> float:
    """Return the seconds of the fastest of a few training steps on one thread, whatever else runs here."""
    import torch

    from medpt.models.registry import build_classifier, build_segmenter

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        is_classifier = architecture == CLASSIFIER
        model = build_classifier(backbone, 2) if is_classifier else build_segmenter(architecture, backbone, 2)
        optimizer = torch.optim.Adam(model.parameters())
        images = torch.zeros(TrainingProtocol().batch_size, 3, MEASURED, MEASURED)
        taken = []
        for _ in range(STEPS):
            started = time.process_time()
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
            taken.append(time.process_time() - started)
        return min(taken)
    finally:
        torch.set_num_threads(threads)
