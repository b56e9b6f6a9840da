"""FLOP/s of a training step beside those of a matrix product of the same precision, in one run.

    python -m bench.flops [--size 256] [--batch 16] [--steps 3] [--side 2048]

Ours is medpt.train's whole step of the ResNet-18 classifier (normalisation, augmentation, forward, loss,
backward, Adam) with the settings that a trial chose; its operations are counted by torch's FlopCounterMode,
which counts convolutions and products. The peer multiplies two square matrices of --side. Processor time of
one thread; the median of --steps. Float32, and bfloat16 where the CPU has instructions for it. Expected: 0.6
of the product in float32, 0.5 in bfloat16. Takes a minute.
"""

import argparse
from statistics import median
from time import process_time

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.figure import Figure, show
from bench.tuned import CPU, batch_of, set_up
from medpt.precision import has_native_bf16
from medpt.protocol import TrainingProtocol
from medpt.step_settings import Batch, fastest, seconds, step_seconds
from medpt.train import TrainingState

NETWORK = "classifier/resnet18"
GOALS = {"fp32": 0.6, "bf16": 0.5}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def rate_of_step(precision: str, batch: Batch, steps: int) -> float:
    """Return the FLOP/s of a step with the settings that are fastest here."""
    protocol = TrainingProtocol(precision="bf16" if precision == "bf16" else None)
    chosen = fastest(lambda settings: seconds(settings, set_up(NETWORK), protocol, CPU, batch), CPU)
    state = TrainingState.start(set_up(NETWORK, chosen), protocol, CPU)
    with FlopCounterMode(display=False) as counter:
        step_seconds(state, batch)
    return counter.get_total_flops() / median(step_seconds(state, batch) for _ in range(steps))


def rate_of_product(precision: str, side: int, steps: int) -> float:
    """Return the FLOP/s of the product of two square matrices."""
    left, right = torch.randn(2, side, side).to(TYPES[precision])
    left @ right  # warms up
    times = []
    for _ in range(steps):
        start = process_time()
        left @ right
        times.append(process_time() - start)
    return 2 * side**3 / median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--side", type=int, default=2048)
    args = parser.parse_args()
    torch.set_num_threads(1)
    batch = batch_of(NETWORK, args.size, args.batch)
    for precision in ("fp32", "bf16") if has_native_bf16() else ("fp32",):
        step = rate_of_step(precision, batch, args.steps) / 1e9
        product = rate_of_product(precision, args.side, args.steps) / 1e9
        name = f"step of resnet18, {args.size} px, {precision}"
        show(Figure(name, step, product, "GFLOP/s", f"product of {args.side:,}²", GOALS[precision]))


if __name__ == "__main__":
    main()
