"""torchvision's published ImageNet weights of the built-in backbones, from a folder or downloaded.

Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medpt.errors import InputError
from medpt.files import replacing
from medpt.models.key_mapping import KeyMapping

if TYPE_CHECKING:
    from torch import Tensor

OPTION = "--imagenet-weights DIR"


class _Published(NamedTuple):
    """torchvision's published weights of one backbone."""

    model: str  # torchvision's name
    file: str
    mapping: KeyMapping  # of the file's names to the encoder's


_PUBLISHED = {
    "resnet18": _Published("resnet18", "resnet18-f37072fd.pth", KeyMapping(drop=("fc.",))),
    "shufflenet_v2": _Published(
        "shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", KeyMapping(drop=("fc.",))
    ),
    "densenet121": _Published("densenet121", "densenet121-a639ec97.pth", KeyMapping("features.")),
    "resnet50": _Published("resnet50", "resnet50-0676ba61.pth", KeyMapping(drop=("fc.",))),
    "mobilenet_v2": _Published("mobilenet_v2", "mobilenet_v2-b0353104.pth", KeyMapping("features.")),
}


def has_published_weights(backbone: str) -> bool:
    """Whether torchvision publishes weights that this package reads into the backbone."""
    return backbone in _PUBLISHED


def published_name(backbone: str) -> str:
    """Return the name of torchvision's file of ImageNet-1k weights for a backbone."""
    return _PUBLISHED[backbone].file


def published(backbone: str, file: Path | None = None) -> dict[str, Tensor]:
    """Return torchvision's ImageNet-1k weights (IMAGENET1K_V1) as `encoder.*`, without the classifier.

    `file` holds torchvision's plain state dict, as .pth or .safetensors. Its hash is not checked; callers
    that need to know which weights they were record the file's sha256. Without `file` the weights are
    downloaded and their hash is checked. Files older than batch norm's counters get counters of zero, as in
    PyTorch. Raises InputError that names the file to fetch if there is none, and the tensors that do not
    belong to the backbone.
    """
    from medpt.models.foreign_encoder import map_encoder

    state = _download(backbone) if file is None else _read(backbone, file)
    return map_encoder(backbone, state, _PUBLISHED[backbone].mapping, str(file or published_name(backbone)))


def write_synthetic(folder: Path, backbone: str, seed: int) -> Path:
    """Write a file as torchvision publishes it, with random weights drawn from `seed`; return its path."""
    import torch
    from torchvision.models import get_model

    path = folder / published_name(backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = get_model(_PUBLISHED[backbone].model).state_dict()
    with replacing(path) as temporary:
        torch.save(state, temporary)
    return path


def _read(backbone: str, file: Path) -> dict[str, Tensor]:
    from medpt.models.tensor_file import file_format, read_tensors

    if not file.is_file():
        raise InputError(f"{file}: no such file; {_advice(backbone)}")
    return read_tensors(file, file_format(file))


def _download(backbone: str) -> Mapping[str, Tensor]:
    try:
        weights = _torchvision_weights(backbone)
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:
        name = published_name(backbone)
        raise InputError(f"{name}: no download ({error}); {_advice(backbone)}") from error


def _advice(backbone: str) -> str:
    return f"fetch {_torchvision_weights(backbone).url} into a folder and name the folder with {OPTION}"


def _torchvision_weights(backbone: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(_PUBLISHED[backbone].model)["IMAGENET1K_V1"]
