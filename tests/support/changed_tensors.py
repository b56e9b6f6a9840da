"""Networks whose tensors all differ from their initial values, and equality of tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def altered(model: nn.Module) -> nn.Module:
    """Change every tensor of a network, so that a test sees one that is not copied."""
    for tensor in model.state_dict().values():
        if tensor.dim() > 1:
            tensor.mul_(1.1 + torch.rand(tensor.shape) / 10)
        else:
            tensor.add_(7 if tensor.dtype == torch.int64 else 0.01 + torch.rand(tensor.shape) / 100)
    return model


def assert_equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []
