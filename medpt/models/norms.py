"""Batch norm of a network that was never trained: its statistics are 0 and 1, which are those of no layer."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def settle(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Sets every running mean and variance to the plain average over the batches of one pass in train mode.

    Changes nothing else; leaves the network in evaluation mode.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's word for the plain average
    network.train()
    for batch in batches:
        network(batch)
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
