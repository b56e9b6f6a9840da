"""A training step as the grid takes it, against eager float32: the ratio for each network.

    python -m bench.tuned [--precision auto] [--networks unet/resnet18 ...] [--size 64] [--batch 16]
                          [--steps 5]

Ours is medpt.train with the memory layout and the Adam that a trial chose (medpt/step_settings.py), in the
precision given; the peer is the same training loop in float32 with the contiguous layout and Adam as it
comes. Both start from equal weights and see one batch of random images; a step is normalisation,
augmentation, forward, loss, backward and Adam. The time of the trial is not in it: a training takes it once
in its life, if no other one took it before. CE-Net gets 192 pixels at least.

After one step that warms up, the two take turns, and the median of --steps counts: processor time of one
thread, which other processes on the machine affect through the caches only. Prints Markdown rows as they are
measured, then geometric mean and least ratio. Ratios above 1: ours is faster.
"""

import argparse
from statistics import geometric_mean, median

import numpy as np
import torch
from torch import nn

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


def row(network: str, args: argparse.Namespace, ours: TrainingProtocol) -> float:
    """Print a network's line and return its ratio."""
    batch = batch_of(network, args.size, args.batch)
    chosen, mine, peer = race(network, batch, ours, args.steps)
    rates = f"{args.batch / peer:.3g} | {args.batch / mine:.3g}"
    print(f"| {network} | {batch[0].shape[1]} | {chosen} | {rates} | {peer / mine:.2f} |", flush=True)
    return peer / mine


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
    found = ", ".join(sorted(CPU_FLAGS & cpu_flags())) or "no bfloat16 instructions"
    print(f"{cpu_name()} ({found}), torch {torch.__version__}, ours in {ours.precision or 'fp32'}\n")
    print("| network | px | chosen | eager fp32, img/s | ours, img/s | ratio |")
    print("| --- | ---: | --- | ---: | ---: | ---: |", flush=True)
    ratios = {network: row(network, args, ours) for network in args.networks}
    print(f"\ngeometric mean {geometric_mean(ratios.values()):.2f}, least {min(ratios.values()):.2f}")


if __name__ == "__main__":
    main()
