"""What a protocol says of a step: optimizer, learning rate, precision, and which weights are trained."""

import math

import torch
from torch import nn

from medpt.protocol import TrainingProtocol

MOMENTUM = 0.9  # of SGD


def training_mode(model: nn.Module, protocol: TrainingProtocol) -> None:
    """Put a network into training mode, all but an encoder that the protocol freezes.

    A frozen encoder computes as in an evaluation, so that its batch norm statistics stay as they are.
    """
    model.train()
    if protocol.freeze == "encoder":
        model.get_submodule("encoder").eval().requires_grad_(False)


def build_optimiser(
    model: nn.Module, protocol: TrainingProtocol, *, fused: bool = False
) -> torch.optim.Optimizer:
    """Return the protocol's optimizer of the weights that are trained, with PyTorch's defaults."""
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if protocol.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=protocol.learning_rate, momentum=MOMENTUM, fused=fused)
    kind = torch.optim.AdamW if protocol.optimizer == "adamw" else torch.optim.Adam
    return kind(weights, lr=protocol.learning_rate, fused=fused)


def scheduled_rate(protocol: TrainingProtocol, step: int) -> float:
    """Return the learning rate η of a step t from 1 to T = max_steps: η (1 + cos(π (t - 1) / T)) / 2.

    Loshchilov and Hutter 2017, equation 5, for one period that ends at 0.
    """
    share = (step - 1) / protocol.max_steps
    return protocol.learning_rate * (1 + math.cos(math.pi * share)) / 2


def use_bfloat16(model: nn.Module, device: torch.device) -> None:
    """Let the network compute in bfloat16 from now on, also in evaluations; its weights stay float32.

    It gets a class of its own, so that copies of it with another last layer compute in bfloat16 as well.
    """
    kind = type(model)
    forward = torch.autocast(device.type, torch.bfloat16)(kind.forward)
    model.__class__ = type(kind.__name__, (kind,), {"forward": forward})
