"""Images a second of one training step of each network, and what each switch makes of it.

    python -m bench.step [--compile] [--networks unet/resnet18 ...] [--size 64] [--batch 16] [--steps 3]
                         [--device cpu]

The baseline is eager float32 in the contiguous layout with Adam as it comes (on a GPU torch lets convolutions
round to TF32). Each switch is added to it alone: channels_last, bf16 (autocast), fused (Adam in one kernel),
compile (torch.compile with its defaults). All start from equal weights and see the same random images and
labels of two classes, in one process; a step is forward, the grid's balanced loss, backward and Adam.
Loading, augmentation and evaluation are not in it. CE-Net gets 192 pixels at least, so that its rates do not
compare with the others'.

One step of each warms up; then the variants take turns and the fastest of --steps counts: processor time of
one thread on the CPU, time of the clock after synchronising on a GPU. Prints Markdown rows as they are
measured: images a second of the baseline, then ratios, above 1 is faster. Without --compile, which takes a
core for one to five minutes a network, its column has a dash.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from medpt.losses import ET_LOSSES, balanced_cross_entropy, edge_target
from medpt.models.cenet import SMALLEST
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_segmenter
from medpt.specs import CLASSIFIER

NUM_CLASSES = 2
BASELINE = "eager fp32"
SWITCHES = ("channels_last", "bf16", "fused", "compile")
NETWORKS = tuple(
    f"{network}/{backbone}" for network in (CLASSIFIER, *ARCHITECTURES) for backbone in BACKBONES
)

Step = Callable[[], None]


def side_of(network: str, size: int) -> int:
    return max(size, SMALLEST) if network.startswith("cenet") else size


def inputs(network: str, args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Normal images (B, 3, S, S), and classes (B,) or masks uint8 (B, S, S), on the device."""
    side = side_of(network, args.size)
    shape = (args.batch,) if network.startswith(CLASSIFIER) else (args.batch, side, side)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(args.batch, 3, side, side, generator=generator)
    targets = torch.randint(NUM_CLASSES, shape, dtype=torch.uint8, generator=generator)
    return images.to(args.device), targets.to(args.device)


def build(network: str) -> nn.Module:
    """The network from seed 0, in training mode."""
    architecture, backbone = network.split("/")
    torch.manual_seed(0)
    if architecture == CLASSIFIER:
        return build_classifier(backbone, NUM_CLASSES).train()
    return build_segmenter(architecture, backbone, NUM_CLASSES).train()


def loss(outputs: Tensor | tuple[Tensor, Tensor], targets: Tensor) -> Tensor:
    """As medpt.tasks has it, without its choice of a precision; all weights are 1."""
    weights = torch.ones(NUM_CLASSES, device=targets.device)
    if isinstance(outputs, Tensor):
        return balanced_cross_entropy(outputs, targets, weights)
    logits, edges = (output.float() for output in outputs)
    return ET_LOSSES["alpha"](logits, edges, targets, edge_target(targets), weights, weights)


def training_step(network: str, switch: str, images: Tensor, targets: Tensor) -> Step:
    """One step of `network` with that switch alone; BASELINE is none of them."""
    layout = torch.channels_last if switch == "channels_last" else torch.contiguous_format
    model = build(network).to(images.device).to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=switch == "fused")
    call = torch.compile(model) if switch == "compile" else model

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=switch == "bf16"):
            outputs = call(images)
        value = loss(outputs, targets)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()

    return step


def seconds(step: Step, device: str) -> float:
    """Of one step: processor time on the CPU, else time of the clock until the device has done it."""
    if device == "cpu":
        start = time.process_time()
        step()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def rates(network: str, args: argparse.Namespace) -> dict[str, float]:
    """Images a second with each switch and with none, by name."""
    images, targets = inputs(network, args)
    names = [BASELINE, *(name for name in SWITCHES if name != "compile" or args.compile)]
    steps = {name: training_step(network, name, images, targets) for name in names}
    for step in steps.values():
        step()
    rounds = [{name: seconds(step, args.device) for name, step in steps.items()} for _ in range(args.steps)]
    return {name: args.batch / min(times[name] for times in rounds) for name in names}


def row(network: str, side: int, rates: dict[str, float]) -> str:
    """One line of the table."""
    ratios = [f"{rates[name] / rates[BASELINE]:.2f}" if name in rates else "-" for name in SWITCHES]
    return f"| {network} | {side} | {rates[BASELINE]:.3g} | {' | '.join(ratios)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds none; accepted: cpu")
    torch.set_num_threads(1)
    print(f"| network | px | {BASELINE}, img/s | {' | '.join(SWITCHES)} |")
    print("| --- | ---: | ---: |" + " ---: |" * len(SWITCHES), flush=True)
    for network in args.networks:
        print(row(network, side_of(network, args.size), rates(network, args)), flush=True)


if __name__ == "__main__":
    main()
