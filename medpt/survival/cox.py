"""Cox's partial likelihood as a loss for networks. torch only."""

import torch
from torch import Tensor

from medpt.errors import InputError


def cox_loss(risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
    """Mean negative log partial likelihood of a batch's deaths, ties as Breslow's, at least 0.

    risk (n,) log hazards, higher = shorter survival; time (n,); event (n,) bool or 0/1. The risk set of a
    death is everyone of the batch whose time is not before it. In float32 at least, O(deaths · n) memory.
    A batch without a death has loss 0 and gradient 0; an optimizer with weight decay or momentum would
    still move on it, so training skips such batches (`if event.any()`).
    Raises InputError where the three are not of one shape (n,): broadcasting (n, 1) against (n,) compares
    everyone with everyone, and the result still looks like a loss.
    Cox 1975; Breslow 1974; Katzman et al. 2018 (DeepSurv), equation 4.
    """
    if not risk.shape == time.shape == event.shape or risk.ndim != 1:
        shapes = {"risk": tuple(risk.shape), "time": tuple(time.shape), "event": tuple(event.shape)}
        raise InputError(f"Cox loss: shapes {shapes}; accepted: (n,) each")
    died = event.bool()
    risk = risk.to(torch.promote_types(risk.dtype, torch.float32))
    if not died.any():
        return risk.sum() * 0
    at_risk = time >= time[died][:, None]
    risk_sets = risk.expand_as(at_risk).masked_fill(~at_risk, -torch.inf).logsumexp(1)
    return (risk_sets - risk[died]).mean()
