"""Whether an extension's networks are what medpt.models promises: found out before hours are spent on them.

Every network is built and shown two black images. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from medpt.errors import InputError
from medpt.extensions import described

if TYPE_CHECKING:
    from torch import nn

CLASSES = 3


def backbone_problems(backbone: str, side: int) -> list[str]:
    """What is wrong with a backbone for images of `side` pixels, a line each."""
    return _told(described("backbone", backbone), lambda: _encoder(backbone, side))


def segmenter_problems(architecture: str, backbone: str, side: int) -> list[str]:
    """What is wrong with an architecture on a backbone that is right, a line each."""
    name = f"{described('architecture', architecture)} on {described('backbone', backbone)}"
    return _told(name, lambda: _segmenter(architecture, backbone, side))


def encoder_problems(model: Any, backbone: str) -> list[str]:
    """Where `encoder.*` of a network is not the backbone's encoder, tensor by tensor."""
    from torch import nn

    if not isinstance(model, nn.Module):
        return [f"{_kind(model)} is no network (torch.nn.Module)"]
    return list(_foreign_encoder(model, backbone))


def _told(name: str, check: Callable[[], Iterator[str]]) -> list[str]:
    try:
        return [f"{name}: {problem}" for problem in check()]
    except InputError as error:
        return error.problems
    except Exception as error:  # whatever foreign code does
        return [f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"]


def _encoder(backbone: str, side: int) -> Iterator[str]:
    from medpt.models.encoders import STRIDES
    from medpt.models.registry import build_encoder

    encoder: Any = build_encoder(backbone)
    channels = getattr(encoder, "channels", None)
    if not isinstance(channels, list | tuple) or len(channels) != len(STRIDES):
        yield f"`channels` is {channels!r}; the widths of five maps are accepted"
        return
    wanted = [
        (2, width, side // stride, side // stride) for width, stride in zip(channels, STRIDES, strict=True)
    ]
    given = _shapes(_shown(encoder, side))
    if given != wanted:
        yield f"gives {given} for 2 images of {side} pixels; {wanted} is accepted"


def _segmenter(architecture: str, backbone: str, side: int) -> Iterator[str]:
    from medpt.models.registry import build_segmenter

    model = build_segmenter(architecture, backbone, CLASSES)
    yield from _foreign_encoder(model, backbone)
    given, wanted = _shapes(_shown(model, side)), (2, CLASSES, side, side)
    if given[:1] != [wanted]:
        yield f"gives {given} for 2 images of {side} pixels and {CLASSES} classes; {wanted} is accepted"


def _foreign_encoder(model: nn.Module, backbone: str) -> Iterator[str]:
    from medpt.models.registry import build_encoder
    from medpt.models.weights import ENCODER, differences, encoder_state

    own = {ENCODER + name: tensor for name, tensor in build_encoder(backbone).state_dict().items()}
    yield from differences(own, encoder_state(model.state_dict()))


def _shown(model: nn.Module, side: int) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return model(torch.zeros(2, 3, side, side))


def _shapes(outputs: Any) -> list[Any]:
    found = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [tuple(item.shape) if hasattr(item, "shape") else _kind(item) for item in found]


def _kind(value: Any) -> str:
    return type(value).__name__
