"""A training step as the grid takes it, against eager float32: the ratio for each network.

    python -m bench.tuned [--precision auto] [--networks unet/resnet18 ...] [--size 64] [--batch 16]
                          [--steps 5]

Ours is medpt.train with the memory layout and the Adam that a trial chose (medpt/step_settings.py), in the
precision given; the peer is the same training loop in float32 with the contiguous layout and Adam as it
comes. Both start from equal weights and see one batch of random images; a step is normalisation,
augmentation, forward, loss, backward and Adam. The time of the trial is not in it: a training takes it once
in its life, if no other one took it before. CE-Net gets 192 pixels at least.

After one step that warms up, the two take turns, and the median of --steps counts: processor time of one
thread, which other processes on the machine affect through the caches only. Ratios above 1: ours is faster.
Expected: 0.95 for each network; for the geometric mean of the segmentation networks 2.2 with AMX, 1.8 with
AVX512-BF16, else 1.15. Takes 5 minutes.
"""

import argparse
from collections.abc import Mapping
from statistics import geometric_mean, median

import numpy as np
import torch
from torch import nn

from bench.figure import Figure, show
from bench.step import NUM_CLASSES, build, side_of
from grid.cluster.cpus import cpu_name
from medpt.models.registry import ARCHITECTURES
from medpt.precision import CPU_FLAGS, cpu_flags
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER
from medpt.step_settings import Batch, fastest, seconds, step_seconds
from medpt.tasks.base import StepSettings, TrainingSetup
from medpt.tasks.classify import Classify
from medpt.tasks.segment import Segment
from medpt.train import TrainingState

NETWORKS = (
    f"{CLASSIFIER}/resnet18",
    *(f"{network}/{backbone}" for network in ARCHITECTURES for backbone in ("shufflenet_v2", "resnet18")),
)
CPU = torch.device("cpu")
PEER = "eager fp32"
LEAST = 0.95  # ratio of any network
MEANS = {"amx_bf16": 2.2, "avx512_bf16": 1.8, "": 1.15}  # geometric means, by what the CPU can do


def set_up(network: str, settings: StepSettings | None = None) -> TrainingSetup:
    """The network with its task; it has no dataset, as only steps are taken."""
    weights, rows = torch.ones(NUM_CLASSES), np.arange(0)
    edges = weights if network.startswith("etnet") else None
    task = Classify(weights) if network.startswith(CLASSIFIER) else Segment(weights, edges)
    model: nn.Module = build(network)
    return TrainingSetup(model, task, None, rows, rows, settings=settings)  # type: ignore[arg-type]


def batch_of(network: str, size: int, count: int) -> Batch:
    """Random images uint8 (B, S, S, 3), classes or masks, and transforms."""
    side, generator = side_of(network, size), torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, generator=generator)
    shape = (count,) if network.startswith(CLASSIFIER) else (count, side, side)
    kind = torch.int64 if network.startswith(CLASSIFIER) else torch.uint8
    targets = torch.randint(NUM_CLASSES, shape, dtype=kind, generator=generator)
    return images, targets, torch.randint(8, (count,), generator=generator)


def race(network: str, batch: Batch, ours: TrainingProtocol, steps: int) -> tuple[StepSettings, float, float]:
    """Return the settings chosen, and the median seconds of our step and of the peer's."""
    chosen = fastest(lambda settings: seconds(settings, set_up(network), ours, CPU, batch), CPU)
    states = [
        TrainingState.start(set_up(network, settings), protocol, CPU)
        for settings, protocol in ((chosen, ours), (StepSettings(), TrainingProtocol()))
    ]
    rounds = [[step_seconds(state, batch) for state in states] for _ in range(1 + steps)][1:]
    mine, peer = (median(times) for times in zip(*rounds, strict=True))
    return chosen, mine, peer


def figure(network: str, args: argparse.Namespace, ours: TrainingProtocol) -> Figure:
    """Race a network and name the settings that were chosen."""
    batch = batch_of(network, args.size, args.batch)
    chosen, mine, peer = race(network, batch, ours, args.steps)
    name = f"{network}, {batch[0].shape[1]} px: {chosen}"
    return Figure(name, args.batch / mine, args.batch / peer, "img/s", PEER, LEAST)


def mean_of(figures: Mapping[str, Figure]) -> Figure:
    """Return the geometric mean of the segmentation networks, with the target of this CPU."""
    ratios = [found.ratio for network, found in figures.items() if not network.startswith(CLASSIFIER)]
    target = next(target for flag, target in MEANS.items() if not flag or flag in cpu_flags())
    return Figure(
        f"mean of {len(ratios)} segmentation networks", geometric_mean(ratios), 1, "x", PEER, target
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="auto")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    ours = TrainingProtocol(precision=args.precision)
    flags = ", ".join(sorted(CPU_FLAGS & cpu_flags())) or "no bfloat16 instructions"
    print(
        f"{cpu_name()} ({flags}), torch {torch.__version__}, ours in {ours.precision or 'fp32'}", flush=True
    )
    figures = {}
    for network in args.networks:
        figures[network] = figure(network, args, ours)
        show(figures[network])
    if any(not network.startswith(CLASSIFIER) for network in figures):
        show(mean_of(figures))


if __name__ == "__main__":
    main()
