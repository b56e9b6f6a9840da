"""torchvision's backbones without pooling and classifier, with outputs at five strides.

Modules have torchvision's names, so a published state dict fits after its classifier is dropped (DenseNet
and MobileNet also lose the prefix `features.`). Initial weights are torchvision's: Kaiming normal with
fan_out (ResNets, MobileNet V2) or fan_in (DenseNet-121), and PyTorch's default, Kaiming uniform with
a = sqrt 5 (ShuffleNet V2). They come from torch's global generator and do not depend on the output stride.

The five maps are, in ResNets, the outputs of relu and layer1 to layer4; in ShuffleNet V2 those of conv1,
maxpool (no stage has weights at stride 4), stage2, stage3 and conv5; in DenseNet-121 those of relu0, of the
dense blocks 1 to 3 (before the transition's norm and ReLU), and of norm5 with the ReLU that torchvision
applies in `forward`; in MobileNet V2 those of the last block at each stride, and of the last convolution.
"""

from collections.abc import Callable

import torchvision
from torch import Tensor, nn

from medpt.errors import InputError

STRIDES = (2, 4, 8, 16, 32)


class Encoder(nn.Module):
    """Map images (N, 3, H, W) to five maps (N, channels[i], H/STRIDES[i], W/STRIDES[i]) at output stride 32.

    The children of `layers` run in order; the outputs of those named in `taps` are returned. Sides that are
    no multiples of a stride are rounded as the backbone's layers do.
    """

    def __init__(self, layers: nn.Module, taps: tuple[str, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        for name, layer in layers.named_children():
            self.add_module(name, layer)
        self.taps = taps
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, x = [], images
        for name, layer in self.named_children():
            x = layer(x)
            if name in self.taps:
                maps.append(x)
        return maps


def build(backbone: str, output_stride: int) -> Encoder:
    """Build a built-in backbone; see medpt.models.build_encoder."""
    dilations: dict[int, dict[int, int]] = {32: {}, 16: {32: 2}, 8: {16: 2, 32: 4}}
    if output_stride not in dilations:
        raise InputError(f"output_stride: {output_stride}; 32, 16 and 8 are accepted")
    encoder = _ENCODERS[backbone]()
    for stride, rate in dilations[output_stride].items():
        for name in _STAGES[backbone][stride]:
            _dilate(encoder.get_submodule(name), rate)
    return encoder


def _resnet18() -> Encoder:
    return _resnet(torchvision.models.resnet18(num_classes=1), (64, 64, 128, 256, 512))


def _resnet50() -> Encoder:
    return _resnet(torchvision.models.resnet50(num_classes=1), (64, 256, 512, 1024, 2048))


def _resnet(network: torchvision.models.ResNet, channels: tuple[int, ...]) -> Encoder:
    del network.avgpool, network.fc
    return Encoder(network, ("relu", "layer1", "layer2", "layer3", "layer4"), channels)


def _shufflenet_v2() -> Encoder:
    network = torchvision.models.shufflenet_v2_x1_0(num_classes=1)
    del network.fc
    return Encoder(network, ("conv1", "maxpool", "stage2", "stage3", "conv5"), (24, 24, 116, 232, 1024))


def _densenet121() -> Encoder:
    features = torchvision.models.densenet121(num_classes=1).features
    features.add_module("relu5", nn.ReLU(inplace=True))
    taps = ("relu0", "denseblock1", "denseblock2", "denseblock3", "relu5")
    return Encoder(features, taps, (64, 256, 512, 1024, 1024))


def _mobilenet_v2() -> Encoder:
    features = torchvision.models.mobilenet_v2(num_classes=1).features
    return Encoder(features, ("1", "3", "6", "13", "18"), (16, 24, 32, 96, 1280))


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "resnet18": _resnet18,
    "shufflenet_v2": _shufflenet_v2,
    "densenet121": _densenet121,
    "resnet50": _resnet50,
    "mobilenet_v2": _mobilenet_v2,
}
_STAGES: dict[str, dict[int, tuple[str, ...]]] = {  # modules that reach a stride and work at it
    "resnet18": {16: ("layer3",), 32: ("layer4",)},
    "shufflenet_v2": {16: ("stage3",), 32: ("stage4",)},
    "densenet121": {16: ("transition2", "denseblock3"), 32: ("transition3", "denseblock4")},
    "resnet50": {16: ("layer3",), 32: ("layer4",)},
    "mobilenet_v2": {16: ("7", "8", "9", "10", "11", "12", "13"), 32: ("14", "15", "16", "17")},
}


def _dilate(stage: nn.Module, rate: int) -> None:
    """Remove strides and pooling from a stage; dilate and pad its 3×3 convolutions by `rate`."""
    for layer in stage.modules():
        if isinstance(layer, nn.AvgPool2d):
            layer.kernel_size = layer.stride = 1
        elif isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation = layer.padding = (rate, rate)
