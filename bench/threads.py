"""One trial a CPU core, as the grid runs them, against one trial that has all cores as threads.

    python -m bench.threads [--networks unet/resnet18 ...] [--size 64] [--batch 16] [--steps 10]

Each trial is a process with the grid's training step in `auto` precision. Images a second of all trials
together, by the clock, from the moment when all have taken a step that warms up. Expected: at least as many
as with threads. Takes a minute on two quiet cores.
"""

import argparse
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

import torch

from bench.figure import Figure, show
from bench.tuned import CPU, NETWORKS, batch_of, set_up
from grid.cluster.cpus import usable_cpus
from medpt.protocol import TrainingProtocol
from medpt.step_settings import step_seconds
from medpt.train import TrainingState

RACED = ("classifier/resnet18", "unet/shufflenet_v2", "unet/resnet18")


def trial(network: str, args: argparse.Namespace, threads: int, together: Barrier) -> None:
    """Take the steps of one trial between two meetings with the others and the clock."""
    torch.set_num_threads(threads)
    state = TrainingState.start(set_up(network), TrainingProtocol(precision="auto"), CPU)
    batch = batch_of(network, args.size, args.batch)
    step_seconds(state, batch)
    together.wait()
    for _ in range(args.steps):
        step_seconds(state, batch)
    together.wait()


def rate(network: str, args: argparse.Namespace, trials: int, threads: int) -> float:
    """Return the images a second of so many trials at once."""
    context = get_context("spawn")
    together = context.Barrier(trials + 1)
    processes = [
        context.Process(target=trial, args=(network, args, threads, together)) for _ in range(trials)
    ]
    for process in processes:
        process.start()
    together.wait()
    start = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    return trials * args.steps * args.batch / seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=RACED, metavar="NETWORK")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    cores = usable_cpus()
    for network in args.networks:
        ours, peer = rate(network, args, cores, 1), rate(network, args, 1, cores)
        name = f"{cores} trials of a thread, {network}"
        show(Figure(name, ours, peer, "img/s", f"a trial of {cores} threads", 1))


if __name__ == "__main__":
    main()
