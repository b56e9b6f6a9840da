"""Several last layers on one network, one a dataset of a collection; all below them is shared."""

from collections.abc import Sequence
from copy import copy

from torch import nn


def with_heads(model: nn.Module, classes: Sequence[int]) -> nn.Module:
    """`model` of medpt.models with `logits` replaced by a list of heads of so many classes.

    A head is linear on a classifier and a 1×1 convolution on a segmenter, initialised as PyTorch does.
    """
    last = model.logits
    if isinstance(last, nn.Linear):
        heads: list[nn.Module] = [nn.Linear(last.in_features, number) for number in classes]
    else:
        assert isinstance(last, nn.Conv2d)  # noqa: S101 - for the type checker
        heads = [nn.Conv2d(last.in_channels, number, 1) for number in classes]
    model.logits = nn.ModuleList(heads)
    return model


def one_headed(model: nn.Module, number: int) -> nn.Module:
    """`model` with head `number` as its `logits`; every tensor is that of `model`."""
    view = copy(model)
    view._modules = model._modules | {"logits": model.get_submodule(f"logits.{number}")}
    return view
