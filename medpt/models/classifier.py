"""A classifier on an encoder, and networks whose last layer is one of several, a layer for each dataset."""

from collections.abc import Sequence
from copy import copy

from torch import Tensor, nn

from medpt.models.encoders import Encoder


class Classifier(nn.Module):
    """Map images (N, 3, H, W) to logits (N, num_classes) by global average pooling and one linear layer.

    There is no dropout. The linear layer starts from PyTorch's default initialization.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.logits = nn.Linear(encoder.channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.encoder(images)[-1].mean(dim=(2, 3)))


def set_heads(model: nn.Module, classes: Sequence[int]) -> nn.Module:
    """Replace `logits` of a network of medpt.models by a list of last layers, one for each number of classes.

    They are linear on a classifier and 1×1 convolutions on a segmentation network, initialised as PyTorch
    does; all layers before them are shared. Changes `model` and returns it.
    """
    last = model.logits
    heads: list[nn.Module]
    if isinstance(last, nn.Linear):
        heads = [nn.Linear(last.in_features, number) for number in classes]
    elif isinstance(last, nn.Conv2d):
        heads = [nn.Conv2d(last.in_channels, number, 1) for number in classes]
    else:
        raise TypeError(f"logits is {type(last).__name__}; a Linear or a Conv2d can be replaced")
    model.logits = nn.ModuleList(heads)
    return model


def select_head(model: nn.Module, number: int) -> nn.Module:
    """Return a view of `model` whose `logits` is head `number`; all tensors are shared with `model`."""
    view = copy(model)
    view._modules = model._modules | {"logits": model.get_submodule(f"logits.{number}")}
    return view
