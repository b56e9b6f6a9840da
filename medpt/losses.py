"""Balanced cross entropy, the class weights behind it, focal and Dice losses, and ET-Net's edge losses.

Losses are computed in float32 on the device of their inputs. Class weights are counted once, on the training
set, and stay fixed for a run.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
FOCUS = 2  # γ of the focal loss
SMOOTH = 1e-5  # of the soft Dice coefficient, as in nnU-Net

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": torch.ones_like,
    "inverse_frequency": lambda f: 1 / (len(f) * f),
    "sqrt_inverse_frequency": lambda f: (1 / (len(f) * f)).sqrt(),
    "log_inverse": lambda f: 1 / torch.log(1.02 + f),
}
"""Functions from the frequencies (K,) of the classes, which sum to 1, to raw weights (K,)."""

DEFAULT_WEIGHTING = {
    "classification": "inverse_frequency",
    "multilabel": "inverse_frequency",
    "segmentation": "sqrt_inverse_frequency",
}


def class_weights(counts: Tensor, weighting: str, clip: tuple[float, float]) -> Tensor:
    """Return weights (K,) float32 for counts (K,) of images or pixels, with Σ w·count = Σ count.

    Raw weights of WEIGHTINGS are clipped to `clip` and scaled. A class that never occurs has the upper bound
    before scaling.
    """
    frequency = counts.double() / counts.sum()
    clipped = WEIGHTINGS[weighting](frequency).clamp(*clip)
    return (clipped / (clipped * frequency).sum()).float()


def balanced_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean Σ w_y·CE / Σ w_y over images, logits (N, K), or pixels, logits (N, K, H, W).

    `target` (N,) or (N, H, W) holds classes; IGNORE is excluded. If everything is excluded, the loss is 0
    with a gradient of 0. Wen et al. 2021, section 2.2, "balanced cross entropy".
    """
    target = target.long()
    terms = F.cross_entropy(logits.float(), target, weights, ignore_index=IGNORE, reduction="sum")
    counted = target != IGNORE
    return _divide(terms, (weights[target.where(counted, 0)] * counted).sum())


def balanced_binary_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean Σ w·BCE / Σ w over the known entries of `target` (N, K): 1, 0 or nan.

    logits (N, K); weights (K, 2) of a finding that is absent and present. If nothing is known, the loss is 0
    with a gradient of 0.
    """
    truth, each = _known_findings(target, weights)
    terms = F.binary_cross_entropy_with_logits(logits.float(), truth, each, reduction="sum")
    return _divide(terms, each.sum())


def _known_findings(target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the truth of findings (N, K), 0 where it is unknown, and the weight of each entry."""
    known = ~target.isnan()
    truth = target.where(known, 0).float()
    return truth, (weights[:, 0] * (1 - truth) + weights[:, 1] * truth) * known


def _divide(terms: Tensor, total: Tensor) -> Tensor:
    """Return a weighted mean; 0 if all weights are 0."""
    return terms / total.clamp_min(torch.finfo(total.dtype).tiny)


def focal_loss(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean Σ w_y·(1 - p_y)²·CE / Σ w_y, with inputs as in `balanced_cross_entropy`.

    The class weights stand for the α of Lin et al. 2017, equation 5, and γ = 2, their best. They divide the
    sum by the number of boxes with an object; here it is the mean that balanced cross entropy takes.
    """
    counted = target != IGNORE
    truth = target.long().where(counted, 0)
    log_p = -F.cross_entropy(logits.float(), truth, reduction="none")
    return _focal_mean(log_p, weights[truth] * counted)


def binary_focal_loss(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return Σ w·(1 - p_t)²·BCE / Σ w over known entries, with inputs as in `balanced_binary_cross_entropy`.

    p_t is the probability of the truth. Lin et al. 2017, equation 5, reduced as in `focal_loss`.
    """
    truth, each = _known_findings(target, weights)
    log_p = -F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return _focal_mean(log_p, each)


def _focal_mean(log_p: Tensor, each: Tensor) -> Tensor:
    """Return the focal loss of the logarithms of p_t, weighted by `each`."""
    return _divide((each * (1 - log_p.exp()) ** FOCUS * -log_p).sum(), each.sum())


def dice_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the cross entropy plus 1 less the mean soft Dice coefficient of the classes but 0.

    logits (N, K, H, W), target (N, H, W). The cross entropy is the mean over pixels, weighted by `weights`,
    all 1 in nnU-Net. Dice takes the softmax and sums over all pixels of the batch, as nnU-Net's 2D networks
    do: (2 Σ p·t + 1e-5) / (Σ p + Σ t + 1e-5). IGNORE is excluded from both. Isensee et al. 2021; nnU-Net's
    value is smaller by 1.
    """
    counted = target != IGNORE
    truth = F.one_hot(target.long().where(counted, 0), logits.shape[1]).movedim(-1, 1) * counted[:, None]
    probabilities = logits.float().softmax(1) * counted[:, None]
    overlap, total = (x.sum((0, 2, 3))[1:] for x in (probabilities * truth, probabilities + truth))
    dice = (2 * overlap + SMOOTH) / (total + SMOOTH)
    return balanced_cross_entropy(logits, target, weights) + 1 - dice.mean()


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "balanced_ce": balanced_cross_entropy,
    "ce": balanced_cross_entropy,
    "dice_ce": dice_cross_entropy,
    "focal": focal_loss,
}
"""Losses of (logits, target, class weights) by the protocol's name; `ce` and `dice_ce` get weights of 1."""
FINDING_LOSSES: dict[str, Loss] = {
    "balanced_ce": balanced_binary_cross_entropy,
    "ce": balanced_binary_cross_entropy,
    "focal": binary_focal_loss,
}
"""The same of (logits, target, weights of absent and present findings)."""


def edge_target(mask: Tensor) -> Tensor:
    """Return the two-pixel band around every foreground class of a mask (N, H, W): uint8 0, 1 or IGNORE.

    The union over classes but 0 of dilation XOR erosion by 3×3, that is, the pixels whose 3×3 neighbourhood
    contains a foreground class and another class. Ignored pixels count as background and stay ignored; pixels
    outside the image are not compared. Zhang et al. 2019 (ET-Net).
    """
    ignored = mask == IGNORE
    classes = mask.masked_fill(ignored, 0).float()[:, None]
    highest = F.max_pool2d(classes, 3, stride=1, padding=1)
    lowest = -F.max_pool2d(-classes, 3, stride=1, padding=1)
    return (highest > lowest)[:, 0].to(torch.uint8).masked_fill(ignored, IGNORE)


def lovasz_softmax(logits: Tensor, target: Tensor) -> Tensor:
    """Return the Lovász extension of 1 - IoU, mean over the classes in `target`; 0 if all is ignored.

    logits (N, K, H, W), target (N, H, W); all pixels of the batch are one set. Berman et al. 2018.
    """
    counted = target != IGNORE
    probabilities = logits.float().softmax(1).movedim(1, -1)[counted]
    classes = target[counted].long()
    losses = [_lovasz_class(probabilities[:, k], classes == k) for k in classes.unique().tolist()]
    return torch.stack(losses).mean() if losses else logits.sum() * 0


def _lovasz_class(probability: Tensor, truth: Tensor) -> Tensor:
    errors, order = (truth.float() - probability).abs().sort(descending=True, stable=True)
    truth = truth[order].float()
    positives = truth.sum()
    jaccard = 1 - (positives - truth.cumsum(0)) / (positives + (1 - truth).cumsum(0))
    return (errors * jaccard.diff(prepend=jaccard.new_zeros(1))).sum()


EdgeLoss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def _cross_entropies(segment_share: float, edge_share: float) -> EdgeLoss:
    def loss(
        segments: Tensor, edges: Tensor, target: Tensor, band: Tensor, weights: Tensor, edge_weights: Tensor
    ) -> Tensor:
        segment_loss = balanced_cross_entropy(segments, target, weights)
        edge_loss = balanced_cross_entropy(edge_logits(edges), band, edge_weights)
        return segment_share * segment_loss + edge_share * edge_loss

    return loss


def _lovasz(
    segments: Tensor, edges: Tensor, target: Tensor, band: Tensor, weights: Tensor, edge_weights: Tensor
) -> Tensor:
    return 0.3 * lovasz_softmax(segments, target) + 0.7 * lovasz_softmax(edge_logits(edges), band)


def edge_logits(edges: Tensor) -> Tensor:
    """Return one logit per pixel (N, 1, H, W) as two (N, 2, H, W) whose softmax is its sigmoid."""
    return torch.cat([torch.zeros_like(edges), edges], 1)


ET_LOSSES: dict[str, EdgeLoss] = {
    "alpha": _cross_entropies(0.3, 0.7),
    "equal": _cross_entropies(1.0, 1.0),
    "lovasz": _lovasz,
}
"""ET-Net's loss of (segment logits, edge logits, target, edge target, class weights, edge weights).

alpha: 0.3 and 0.7, the published shares, on balanced cross entropy; equal: 1 and 1; lovasz: the published
shares on Lovász-Softmax, which does not use the weights.
"""
