"""Encoders of timm (Wightman 2019, github.com/huggingface/pytorch-image-models), by the name `timm/NAME`.

NAME is one of `timm.list_models()`. The encoder's tensors are `network.` and timm's own names, so that files
that timm publishes fit as they are. No weights are downloaded: random ones are drawn, and others come from a
YAML file (medpt/models/weights_file.py).
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from medpt.errors import InputError, did_you_mean
from medpt.models.encoders import STRIDES, Encoder

ANY_SIZE = {"dynamic_img_size": True, "dynamic_img_pad": True}  # of plain vision transformers


class StagedEncoder(Encoder):
    """Map images (N, 3, H, W) to five maps at STRIDES.

    Where a network has no map at stride 2 (ConvNeXt), the images in half their size take its place, with
    three channels. The last map is the one that the network's own classifier pools, such as the one after
    EfficientNet's last 1×1 convolution.
    """

    def __init__(self, network: Any, channels: tuple[int, ...]) -> None:
        nn.Module.__init__(self)
        self.network: Any = network
        self.starts_at_4 = len(channels) == len(STRIDES) - 1
        self.widened = network.num_features != channels[-1]
        self.channels = (*((3,) if self.starts_at_4 else ()), *channels[:-1], int(network.num_features))

    def forward(self, images: Tensor) -> list[Tensor]:
        last, maps = self.network.forward_intermediates(images, output_fmt="NCHW")
        first = [F.avg_pool2d(images, 2)] if self.starts_at_4 else []
        return [*first, *maps[:-1], last if self.widened else maps[-1]]


class PooledEncoder(Encoder):
    """Map images (N, 3, H, W) to one map (N, C, 1, 1): what a plain vision transformer's classifier sees.

    It is the class token or the mean of all tokens, as the network was published. Images of other sides than
    those of pre-training get interpolated positions, and are padded to whole patches.
    """

    def __init__(self, network: Any) -> None:
        nn.Module.__init__(self)
        self.network: Any = network
        self.channels = (int(network.num_features),)

    def forward(self, images: Tensor) -> list[Tensor]:
        tokens = self.network.forward_features(images)
        return [self.network.forward_head(tokens, pre_logits=True)[..., None, None]]


def build(name: str, output_stride: int) -> Encoder:
    """Build timm's network `name` as an encoder with random weights.

    Raises InputError if timm is not installed or has no such network, if the network cannot be dilated to
    `output_stride`, or if its maps are not at the strides 2 (or 4) to 32.
    """
    stride = {} if output_stride == STRIDES[-1] else {"output_stride": output_stride}
    network = _network(name, stride)
    reductions = [info["reduction"] for info in network.feature_info]
    if not hasattr(network, "forward_intermediates"):
        raise InputError(f"backbone: timm/{name} does not give maps (no forward_intermediates)")
    if len(set(reductions)) == 1:
        return PooledEncoder(network)
    wanted = [min(each, output_stride) for each in STRIDES]
    if reductions not in (wanted, wanted[1:]):
        raise InputError(f"backbone: timm/{name} has maps at strides {reductions}; {wanted} are needed")
    return StagedEncoder(network, tuple(info["num_chs"] for info in network.feature_info))


def _network(name: str, options: dict[str, int]) -> Any:
    try:
        import timm
    except ImportError as error:
        raise InputError(f"backbone: timm/{name} needs the package timm; install medpt-grid[timm]") from error
    if not timm.is_model(name):
        raise InputError(f"backbone: timm has no {name!r}; {did_you_mean(name, timm.list_models())[:200]}")
    for more in (ANY_SIZE, {}):
        arguments: dict[str, Any] = {"pretrained": False, "num_classes": 0, **options, **more}
        try:
            network = timm.create_model(name, **arguments)
        except (TypeError, AssertionError):  # an option, or a value of it, that this network does not have
            continue
        return network
    asked = "".join(f" with {key} {value}; use another architecture" for key, value in options.items())
    raise InputError(f"backbone: timm/{name} cannot be built{asked}")
