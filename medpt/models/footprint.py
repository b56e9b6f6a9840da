"""How much a network computes and weighs, as measured once and stored; torch is imported to measure alone.

`python -m medpt.models measure` writes footprints.json anew; a test compares it with the networks.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from medpt.extensions import TIMM
from medpt.models.registry import ARCHITECTURES, BACKBONES
from medpt.specs import CLASSIFIER

FILE = Path(__file__).with_name("footprints.json")
SIDE = 256  # pixels of the measured image
STAGED = ("convnext_nano", "convnext_tiny", "efficientnet_b0", "tf_efficientnet_lite0")  # of timm
PLAIN = ("vit_small_patch16_224", "vit_base_patch16_224", "vit_small_patch14_dinov2")
NETWORKS = (
    *((architecture, backbone) for backbone in BACKBONES for architecture in (CLASSIFIER, *ARCHITECTURES)),
    *((architecture, TIMM + name) for name in STAGED for architecture in (CLASSIFIER, *ARCHITECTURES)),
    *((CLASSIFIER, TIMM + name) for name in PLAIN),
)


@dataclass(frozen=True)
class Footprint:
    """10^9 multiply-adds of a forward pass of one image of 256 × 256, and 10^6 bytes of float32 weights."""

    gmacs: float
    megabytes: float


def footprint(architecture: str, backbone: str) -> Footprint:
    """Return what a network takes.

    For a network that was not measured, it is the largest of the measured ones with the same backbone or
    architecture, or of all. A pretrained tag of timm (`resnet50.a1_in1k`) makes no difference.
    """
    if backbone.startswith(TIMM):
        backbone = backbone.partition(".")[0]
    known = _measured()
    if (architecture, backbone) in known:
        return known[architecture, backbone]
    alike = [value for key, value in known.items() if architecture == key[0] or backbone == key[1]]
    among = alike or list(known.values())
    return Footprint(max(each.gmacs for each in among), max(each.megabytes for each in among))


def measure(architecture: str, backbone: str) -> Footprint:
    """Count a network's multiply-adds and weigh its tensors, without values in them."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from medpt.models.registry import build_network

    with torch.device("meta"):
        network = build_network(architecture, backbone, 2).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, SIDE, SIDE))
    numbers = sum(tensor.numel() for tensor in network.state_dict().values())
    return Footprint(round(counter.get_total_flops() / 2e9, 2), round(4 * numbers / 1e6, 1))


def write(file: Path = FILE) -> None:
    """Measure all networks of NETWORKS and store what was found."""
    from medpt.files import write_json

    found: dict[str, dict[str, dict[str, float]]] = {}
    for architecture, backbone in NETWORKS:
        found.setdefault(backbone, {})[architecture] = asdict(measure(architecture, backbone))
    write_json(file, found)


@cache
def _measured() -> Mapping[tuple[str, str], Footprint]:
    stored = json.loads(FILE.read_text(encoding="utf-8"))
    return {
        (architecture, backbone): Footprint(**values)
        for backbone, architectures in stored.items()
        for architecture, values in architectures.items()
    }
