"""Whether published weights are those of the network that their pre-training trains."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from medpt.extensions import TIMM
from medpt.models import weights
from medpt.specs import SUPERVISED, Pretrain

if TYPE_CHECKING:
    from torch import Tensor

    State = Mapping[str, Tensor]

BACKBONE = f"backbone {TIMM}"  # before the name of an extension that is no code of a user's


def weight_problems(
    spec: Pretrain, states: Mapping[str, "State"], classes: tuple[int, ...] | None
) -> Iterator[str]:
    """Yield the file and what is wrong with its tensors, of files by name.

    `classes` are the numbers of classes of the datasets, None where they are not known. Of self-supervised
    networks the encoder is known, of an extension's network nothing; both files have the same tensors.
    """
    expected = _expected(spec, classes)
    for file, state in states.items():
        compared = state if _is_complete(spec, classes) else weights.encoder_state(state)
        problems = weights.differences(expected, compared) if expected is not None else []
        problems += [f"{name} has values that are not finite" for name, one in state.items() if _is_bad(one)]
        yield from _first(file, problems)
    for (one, before), (other, after) in pairwise(states.items()):
        yield from _first(f"{other}, beside {one}", weights.differences(before, after))


def _first(file: str, problems: Sequence[str]) -> Iterator[str]:
    """Yield the first problem and how many there are: another network has as many as it has tensors."""
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        yield f"{file}: {problems[0]}{more}"


def _is_complete(spec: Pretrain, classes: tuple[int, ...] | None) -> bool:
    """Whether all tensors of the network are known, and not the encoder's alone."""
    return spec.method == SUPERVISED and classes is not None


def _expected(spec: Pretrain, classes: tuple[int, ...] | None) -> "State | None":
    """Return the tensors of a network, or of its encoder, on the meta device: without values."""
    import torch

    from medpt.models.classifier import set_heads
    from medpt.models.registry import build_encoder, build_network

    if any(not name.startswith(BACKBONE) for name in spec.extensions):
        return None
    with torch.device("meta"):
        if not _is_complete(spec, classes) or classes is None:
            state = build_encoder(spec.backbone).state_dict()
            return {weights.ENCODER + name: tensor for name, tensor in state.items()}
        model = build_network(spec.architecture, spec.backbone, classes[0])
        return (set_heads(model, classes) if len(classes) > 1 else model).state_dict()


def _is_bad(tensor: "Tensor") -> bool:
    return tensor.is_floating_point() and not bool(tensor.isfinite().all())
