"""Checks that extensions are what medpt expects of them, before hours are spent on training.

Each network is built once and applied to two black images. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from medpt import extensions
from medpt.errors import InputError
from medpt.extensions import TIMM
from medpt.models.registry import BACKBONES, build_encoder, build_segmenter
from medpt.models.weights import ENCODER, differences, encoder_state
from medpt.protocol import SELF_SUPERVISED_METHODS
from medpt.specs import CLASSIFIER, SUPERVISED, Finetune, ImageFeatures, Pretrain, UnitSpec

if TYPE_CHECKING:
    from torch import nn

CLASSES = 3
METHODS = (SUPERVISED, *SELF_SUPERVISED_METHODS)


def check_extensions(specs: Iterable[UnitSpec], size: int) -> None:
    """Load every extension that `specs` use, build its networks and apply them to images of `size` pixels.

    Raises InputError with the problems of all extensions, one line each.
    """
    used = [
        spec for spec in specs if isinstance(spec, Pretrain | Finetune | ImageFeatures) and spec.extensions
    ]
    trained = [spec for spec in used if not isinstance(spec, ImageFeatures)]
    methods = {spec.method for spec in trained if isinstance(spec, Pretrain)} - set(METHODS)
    backbones = {
        name: backbone_problems(name, size) for name in {spec.backbone for spec in used} - set(BACKBONES)
    }
    networks = {(spec.architecture, spec.backbone) for spec in trained if spec.architecture != CLASSIFIER}
    problems = [problem for name in sorted(methods) for problem in method_problems(name)]
    problems += [problem for name in sorted(backbones) for problem in backbones[name]]
    for architecture, backbone in sorted(networks):
        if not backbones.get(backbone):
            problems += segmenter_problems(architecture, backbone, size)
    if problems:
        raise InputError(problems)


def method_problems(name: str) -> list[str]:
    """Return why the pre-training method `name` cannot be loaded, a line each."""
    try:
        extensions.load("method", name, METHODS)
    except InputError as error:
        return error.problems
    return []


def backbone_problems(backbone: str, size: int) -> list[str]:
    """Return what is wrong with a backbone for images of `size` pixels, a line each."""
    return _problems(extensions.described("backbone", backbone), lambda: _check_encoder(backbone, size))


def segmenter_problems(architecture: str, backbone: str, size: int) -> list[str]:
    """Return what is wrong with an architecture on a backbone that has no problems, a line each."""
    on = extensions.described("backbone", backbone)
    name = f"{extensions.described('architecture', architecture)} on {on}"
    return _problems(name, lambda: _check_segmenter(architecture, backbone, size))


def encoder_problems(model: Any, backbone: str) -> list[str]:
    """Return how the tensors `encoder.*` of a network differ from those of `build_encoder(backbone)`."""
    from torch import nn

    if not isinstance(model, nn.Module):
        return [f"{_type(model)} is not a network (torch.nn.Module)"]
    return list(_check_tensors(model, backbone))


def _problems(name: str, check: Callable[[], Iterator[str]]) -> list[str]:
    try:
        return [f"{name}: {problem}" for problem in check()]
    except InputError as error:
        return error.problems
    except Exception as error:  # an extension's code may raise anything
        return [f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"]


def _check_encoder(backbone: str, size: int) -> Iterator[str]:
    from medpt.models.encoders import STRIDES

    encoder: Any = build_encoder(backbone)
    channels = getattr(encoder, "channels", None)
    if backbone.startswith(TIMM) and channels and len(channels) == 1:
        if (given := _shapes(_apply(encoder, size))) != [(2, *channels, 1, 1)]:
            yield f"gives {given} for 2 images of {size} pixels"
        return
    if not isinstance(channels, list | tuple) or len(channels) != len(STRIDES):
        yield f"`channels` is {channels!r}; the widths of five maps are accepted"
        return
    expected = [
        (2, width, size // stride, size // stride) for width, stride in zip(channels, STRIDES, strict=True)
    ]
    given = _shapes(_apply(encoder, size))
    if given != expected:
        yield f"gives {given} for 2 images of {size} pixels; {expected} is accepted"


def _check_segmenter(architecture: str, backbone: str, size: int) -> Iterator[str]:
    model = build_segmenter(architecture, backbone, CLASSES)
    yield from _check_tensors(model, backbone)
    given, expected = _shapes(_apply(model, size)), (2, CLASSES, size, size)
    if given[:1] != [expected]:
        yield f"gives {given} for 2 images of {size} pixels and {CLASSES} classes; {expected} is accepted"


def _check_tensors(model: nn.Module, backbone: str) -> Iterator[str]:
    expected = {ENCODER + name: tensor for name, tensor in build_encoder(backbone).state_dict().items()}
    yield from differences(expected, encoder_state(model.state_dict()))


def _apply(model: nn.Module, size: int) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return model(torch.zeros(2, 3, size, size))


def _shapes(outputs: Any) -> list[Any]:
    values = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [tuple(value.shape) if hasattr(value, "shape") else _type(value) for value in values]


def _type(value: Any) -> str:
    return type(value).__name__
