"""How long a training step takes on this machine: measured on a CPU, computed for a GPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from grid.plan.cost import CPU, GPU, forward_seconds
from medpt.protocol import TrainingProtocol

MEASURED = 64  # side in pixels of the images in the steps that are timed
STEPS = 4


@dataclass(frozen=True)
class Speed:
    """The speed of this machine.

    `step` returns the seconds of a training step by the side of its images. `load` is how many times longer
    work takes on the clock because other programs use the processor, 1 on a machine that is idle.
    """

    step: Callable[[int], float]
    load: float = 1.0


def machine_speed(architecture: str, backbone: str, *, on_gpu: bool) -> Speed:
    """Return how fast this machine trains a network."""
    if on_gpu:
        return Speed(lambda size: computed(architecture, backbone, size, GPU))
    seconds, load = measure(architecture, backbone)
    factor = seconds / computed(architecture, backbone, MEASURED, CPU)
    return Speed(lambda size: factor * computed(architecture, backbone, size, CPU), load)


def computed(architecture: str, backbone: str, size: int, device: str) -> float:
    """Return the seconds that the arithmetic of grid.plan.cost gives a step: three forward passes."""
    return 3 * forward_seconds(architecture, backbone, size, device) * TrainingProtocol().batch_size


@cache
def measure(architecture: str, backbone: str) -> tuple[float, float]:
    """Return the processor time of the fastest of a few steps on one thread, and the load of the machine."""
    import torch

    from medpt.models.registry import build_network

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = build_network(architecture, backbone, 2)
        optimizer = torch.optim.Adam(model.parameters())
        images = torch.zeros(TrainingProtocol().batch_size, 3, MEASURED, MEASURED)
        taken, clock = [], time.perf_counter()
        for _ in range(STEPS):
            started = time.process_time()
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
            taken.append(time.process_time() - started)
        return min(taken), max(1.0, (time.perf_counter() - clock) / sum(taken))
    finally:
        torch.set_num_threads(threads)
