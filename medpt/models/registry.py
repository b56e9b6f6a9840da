"""Networks by name: three ImageNet backbones, a classifier and five segmentation networks on each.

Other packages add backbones and architectures by entry points (medpt/extensions.py, docs/extending.md).

Promises: the names are known without importing torch; in every network the encoder's tensors are the
state-dict keys `encoder.*`, the same for one backbone everywhere; the last linear map is called `logits`;
after `torch.manual_seed(s)` the encoder starts from the same numbers whatever stands on it. Networks emit
logits, never probabilities. No weights are loaded here: see medpt/models/weights.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from medpt import extensions

if TYPE_CHECKING:
    from torch import nn

    from medpt.models.encoders import Encoder

BACKBONES: tuple[str, ...] = ("resnet18", "shufflenet_v2", "densenet121")


def backbones() -> tuple[str, ...]:
    """The names of all backbones, those of extensions last. InputError where two have one name."""
    return extensions.names("backbone", BACKBONES)


def architectures() -> tuple[str, ...]:
    """The same of all segmentation networks."""
    return extensions.names("architecture", ARCHITECTURES)


def build_encoder(backbone: str, output_stride: int = 32) -> Encoder:
    """`encoder(images (N, 3, H, W))` gives maps at strides 2, 4, 8, 16, 32; `.channels` are their widths.

    With `output_stride` 16 or 8 the last one or two stages are dilated in place of strided, so that no map
    is coarser than that; the state dict stays the same. InputError on an unknown name or stride. An
    extension's encoder is what its function returns; medpt.models.contract says whether it keeps to this.
    """
    if backbone not in BACKBONES:
        built: Encoder = extensions.load("backbone", backbone, BACKBONES)(output_stride)
        return built
    from medpt.models import encoders

    return encoders.build(backbone, output_stride)


def build_classifier(backbone: str, num_classes: int) -> nn.Module:
    """`model(images (N, 3, H, W))` gives logits (N, num_classes)."""
    from medpt.models.classifier import Classifier

    return Classifier(backbone, num_classes)


def build_segmenter(architecture: str, backbone: str, num_classes: int) -> nn.Module:
    """`model(images (N, 3, H, W))` gives logits (N, num_classes, H, W); background counts as a class.

    etnet gives a pair, (logits, edge logits (N, 1, H, W)). cenet takes sides of 192 pixels and more that are
    multiples of 32; the others any side from 32 pixels up. InputError names what is unknown.
    """
    if architecture not in ARCHITECTURES:
        built: nn.Module = extensions.load("architecture", architecture, ARCHITECTURES)(backbone, num_classes)
        return built
    return _SEGMENTERS[architecture](backbone, num_classes)


def _unet(backbone: str, num_classes: int) -> nn.Module:
    from medpt.models.unet import UNet

    return UNet(backbone, num_classes)


def _deeplabv3plus(backbone: str, num_classes: int) -> nn.Module:
    from medpt.models.deeplabv3plus import DeepLabV3Plus

    return DeepLabV3Plus(backbone, num_classes)


def _cenet(backbone: str, num_classes: int) -> nn.Module:
    from medpt.models.cenet import CENet

    return CENet(backbone, num_classes)


def _hynet(backbone: str, num_classes: int) -> nn.Module:
    from medpt.models.hynet import HyNet

    return HyNet(backbone, num_classes)


def _etnet(backbone: str, num_classes: int) -> nn.Module:
    from medpt.models.etnet import ETNet

    return ETNet(backbone, num_classes)


_SEGMENTERS: dict[str, Callable[[str, int], nn.Module]] = {
    "unet": _unet,
    "deeplabv3plus": _deeplabv3plus,
    "cenet": _cenet,
    "hynet": _hynet,
    "etnet": _etnet,
}
ARCHITECTURES: tuple[str, ...] = tuple(_SEGMENTERS)
