"""Networks by name: five ImageNet backbones, a classifier and five segmentation networks on each.

Other packages add backbones and architectures by entry points (medpt/extensions.py, docs/extending.md).

All networks have in common:

- The encoder's tensors are the state-dict keys `encoder.*`, the same for one backbone in every network.
- The last linear layer is called `logits`. Networks return logits, never probabilities.
- After `torch.manual_seed(s)` the encoder's initial weights are the same in every network.

The names are known without importing torch. Weights are loaded by medpt/models/weights.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from medpt import extensions
from medpt.errors import InputError, did_you_mean
from medpt.extensions import TIMM, TIMM_NAME
from medpt.specs import CLASSIFIER

if TYPE_CHECKING:
    from torch import nn

    from medpt.models.encoders import Encoder

BACKBONES: tuple[str, ...] = ("resnet18", "shufflenet_v2", "densenet121", "resnet50", "mobilenet_v2")
ARCHITECTURES: tuple[str, ...] = ("unet", "deeplabv3plus", "cenet", "hynet", "etnet")


def backbones() -> tuple[str, ...]:
    """Return the names of all backbones, built-in ones first. Raises InputError if two share a name."""
    return extensions.names("backbone", BACKBONES)


def architectures() -> tuple[str, ...]:
    """Return the names of all segmentation networks, as `backbones` does."""
    return extensions.names("architecture", ARCHITECTURES)


def check_backbone(name: str) -> None:
    """Raise InputError, with similar names, if there is no such backbone.

    Of timm's networks only the form of the name is checked, since its list imports torch.
    """
    if name not in backbones() and not TIMM_NAME.fullmatch(name):
        raise InputError(f"no backbone {name!r}; {did_you_mean(name, [*backbones(), 'timm/NAME'])}")


def build_encoder(backbone: str, output_stride: int = 32) -> Encoder:
    """Build the convolutional part of a classification network, with random weights.

    `encoder(images)` maps normalised images (N, 3, H, W) to a list of five maps at strides 2, 4, 8, 16 and
    32; `encoder.channels` are their five widths. With `output_stride` 16 or 8 the last one or two stages are
    dilated instead of strided, so that no map is coarser than that; the state dict stays the same.

    A plain vision transformer of timm gives one map, (N, C, 1, 1), for classification.

    Raises InputError if the backbone or the stride is unknown. What an extension's function returns is not
    checked here but by medpt.models.contract.
    """
    if backbone.startswith(TIMM):
        from medpt.models import timm_encoders

        return timm_encoders.build(backbone.removeprefix(TIMM), output_stride)
    if backbone not in BACKBONES:
        encoder: Encoder = extensions.load("backbone", backbone, BACKBONES)(output_stride)
        return encoder
    from medpt.models import encoders

    return encoders.build(backbone, output_stride)


def build_classifier(backbone: str, num_classes: int) -> nn.Module:
    """Build a classifier: an encoder, global average pooling and one linear layer, as torchvision's networks.

    `model(images)` maps normalised images (N, 3, H, W) to logits (N, num_classes). Raises InputError if the
    backbone is unknown.
    """
    from medpt.models.classifier import Classifier

    return Classifier(build_encoder(backbone), num_classes)


def build_network(architecture: str, backbone: str, num_classes: int) -> nn.Module:
    """Build a classifier if the architecture is CLASSIFIER, else a segmentation network."""
    if architecture == CLASSIFIER:
        return build_classifier(backbone, num_classes)
    return build_segmenter(architecture, backbone, num_classes)


def build_segmenter(architecture: str, backbone: str, num_classes: int) -> nn.Module:
    """Build a segmentation network on a backbone; the background counts as a class.

    `model(images)` maps normalised images (N, 3, H, W) to logits (N, num_classes, H, W). `etnet` returns a
    pair (logits, edge logits (N, 1, H, W)). `cenet` accepts sides that are multiples of 32 from 192 pixels
    up; the others accept any side from 32 pixels up. Raises InputError if the architecture or the backbone is
    unknown.
    """
    if architecture not in ARCHITECTURES:
        built: nn.Module = extensions.load("architecture", architecture, ARCHITECTURES)(backbone, num_classes)
        return built
    from medpt.models import cenet, deeplabv3plus, etnet, hynet, unet

    networks: dict[str, type[nn.Module]] = {
        "unet": unet.UNet,
        "deeplabv3plus": deeplabv3plus.DeepLabV3Plus,
        "cenet": cenet.CENet,
        "hynet": hynet.HyNet,
        "etnet": etnet.ETNet,
    }
    output_stride = deeplabv3plus.OUTPUT_STRIDE if architecture == "deeplabv3plus" else 32
    encoder = build_encoder(backbone, output_stride)
    if len(encoder.channels) == 1:
        raise InputError(
            f"architecture: {architecture} needs maps at five strides, which {backbone}, a plain vision "
            "transformer, does not give; use it as a classifier, or take timm/convnext_nano or the like"
        )
    return networks[architecture](encoder, num_classes)
