"""Parameter counts beside segmentation_models.pytorch 0.6.0, whose own were read from its networks.

`smp.Unet("resnet18", encoder_weights=None, classes=2)` and so on, timm 1.0.31; ShuffleNet V2 is not among its
encoders of this kind. Its DeepLabV3Plus is another network: depthwise separable convolutions, one more of
them after the pyramid and one fewer in the decoder, and no dilated DenseNet.
"""

import pytest
import torch
from torch import nn

from medpt.models.registry import build_segmenter

PEER = {
    ("resnet18", 2): 14_328_354,
    ("resnet18", 3): 14_328_499,
    ("densenet121", 2): 13_607_778,
    ("densenet121", 3): 13_607_923,
}
PEER_DEEPLAB = {2: 12_329_554, 3: 12_329_811}
BATCH_NORM = 2 * 256


def count(architecture: str, backbone: str, classes: int) -> int:
    with torch.device("meta"):
        network: nn.Module = build_segmenter(architecture, backbone, classes)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("backbone", "classes"), PEER)
def test_unet_has_the_parameter_counts_of_its_peer(backbone: str, classes: int) -> None:
    assert count("unet", backbone, classes) == PEER[backbone, classes]


@pytest.mark.parametrize("classes", PEER_DEEPLAB)
def test_deeplab_differs_from_its_peer_only_by_separable_convolutions(classes: int) -> None:
    def dense(inputs: int) -> int:
        return inputs * 256 * 9

    def separable(inputs: int) -> int:
        return inputs * 9 + inputs * 256

    pyramid = 3 * (dense(512) - separable(512)) - (separable(256) + BATCH_NORM)
    decoder = dense(304) + dense(256) + 2 * BATCH_NORM - (separable(304) + BATCH_NORM)
    assert count("deeplabv3plus", "resnet18", classes) == PEER_DEEPLAB[classes] + pyramid + decoder
