"""Files of weights, the transfer of weights between networks, and torchvision's published weights.

A file appears complete or not at all. Only tensors are read from files, so no code runs from data. A transfer
copies every tensor of the encoder bit for bit, batch norm's statistics and counters included, or changes
nothing and names every tensor that does not fit. Importing this module does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from medpt.errors import InputError
from medpt.extensions import TIMM
from medpt.files import replacing
from medpt.identity import stream_seed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from medpt.models.encoders import Encoder

ENCODER = "encoder."
LOGITS = "logits."
TIMM_INNER = "network."  # of timm's networks, before their own names
COUNTER = ".num_batches_tracked"
OPTION = "--imagenet-weights DIR"


class _Published(NamedTuple):
    """torchvision's published weights of one backbone."""

    model: str  # torchvision's name
    file: str
    classifier: str  # prefix of the keys that are dropped
    prefix: str  # of the other keys, in the file only


_PUBLISHED = {
    "resnet18": _Published("resnet18", "resnet18-f37072fd.pth", "fc.", ""),
    "shufflenet_v2": _Published("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", "fc.", ""),
    "densenet121": _Published("densenet121", "densenet121-a639ec97.pth", "classifier.", "features."),
    "resnet50": _Published("resnet50", "resnet50-0676ba61.pth", "fc.", ""),
    "mobilenet_v2": _Published("mobilenet_v2", "mobilenet_v2-b0353104.pth", "classifier.", "features."),
}


def save(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict as safetensors; equal values give equal bytes for any device and memory format."""
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"medpt": "{}"})  # changing it would change all files' hashes


def load(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file to the CPU.

    Raises InputError if the file is missing, incomplete or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; weights in safetensors format are expected") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a complete safetensors file ({error})") from error


def encoder_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the encoder only, under the same keys `encoder.*`."""
    return {name: tensor for name, tensor in state.items() if name.startswith(ENCODER)}


def transfer_encoder(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the encoder of `state` into `model`; other tensors of `state` are ignored.

    Raises InputError, with `model` unchanged, that names each tensor that is missing, unexpected, or of
    another shape or type.
    """
    load_encoder(model.get_submodule("encoder"), state)


def load_encoder(encoder: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the encoder of `state` into an encoder that stands alone; see `transfer_encoder`."""
    given = encoder_state(state)
    expected = {ENCODER + name: tensor for name, tensor in encoder.state_dict().items()}
    if problems := differences(expected, given):
        raise InputError(problems)
    renamed = {name.removeprefix(ENCODER): tensor for name, tensor in given.items()}
    encoder.load_state_dict(renamed, strict=True)


def transfer_decoder(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Copy each tensor outside the encoder, except the logits, whose name and shape match.

    For the ablation `transfer_decoder` of segmentation pre-training; returns the names of the tensors.
    ET-Net's edge logits do not depend on the classes and are copied. Raises InputError, with `model`
    unchanged, if nothing matches.
    """
    own = model.state_dict()
    matching = {
        name: tensor
        for name, tensor in state.items()
        if name in own and not name.startswith((ENCODER, LOGITS)) and own[name].shape == tensor.shape
    }
    if not matching:
        raise InputError(f"no decoder tensor of {type(model).__name__} matches the weights by name and shape")
    model.load_state_dict(matching, strict=False)
    return tuple(matching)


def published_name(backbone: str) -> str:
    """Return the name of torchvision's file of ImageNet-1k weights for a backbone."""
    return _PUBLISHED[backbone].file


def published(backbone: str, file: Path | None = None) -> dict[str, Tensor]:
    """Return torchvision's ImageNet-1k weights (IMAGENET1K_V1) as `encoder.*`, without the classifier.

    `file` holds torchvision's plain state dict, as .pth or .safetensors. Its hash is not checked; callers
    that need to know which weights they were record the file's sha256. Without `file` the weights are
    downloaded and their hash is checked. Files older than batch norm's counters get counters of zero, as in
    PyTorch. Raises InputError that names the file to fetch if there is none, and each tensor that does not
    belong to the backbone.
    """
    state = _download(backbone) if file is None else _read(backbone, file)
    _, _, classifier, prefix = _PUBLISHED[backbone]
    renamed = {
        ENCODER + modern_name(name).removeprefix(prefix): tensor
        for name, tensor in state.items()
        if not name.startswith(classifier)
    }
    expected = expected_tensors(backbone)
    renamed |= zero_counters(expected, renamed)
    if problems := differences(expected, renamed):
        raise InputError([f"{file or published_name(backbone)}: {problem}" for problem in problems])
    return renamed


def build_encoder_with(backbone: str, state: Mapping[str, Tensor] | None, seed: int = 0) -> Encoder:
    """Build an encoder with the weights of `state`; without any, `seed` draws random ones."""
    import torch

    from medpt.models.registry import build_encoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "encoder"))
        encoder = build_encoder(backbone)
    if state is not None:
        load_encoder(encoder, state)
    return encoder


def random_weights(backbone: str, seed: int) -> dict[str, Tensor]:
    """Return random weights as `encoder.*`: published weights are compared with them."""
    import torch

    from medpt.models.registry import build_encoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "before"))
        encoder = build_encoder(backbone)
    return {ENCODER + name: tensor for name, tensor in encoder.state_dict().items()}


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


def modern_name(name: str) -> str:
    """Rename `denselayer1.norm.1` of DenseNet's published file to the network's `denselayer1.norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", name)


def zero_counters(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return zeros for batch norm's counters if the file has none at all."""
    import torch

    counters = [name for name in expected if name.endswith(COUNTER)]
    if any(name.endswith(COUNTER) for name in given):
        return {}
    return {name: torch.zeros((), dtype=torch.int64) for name in counters}


def encoder_prefix(backbone: str) -> str:
    """Return what stands before a backbone's own names of tensors in ours."""
    return ENCODER + (TIMM_INNER if backbone.startswith(TIMM) else "")


def expected_tensors(backbone: str) -> dict[str, Tensor]:
    """Return a backbone's tensors on the meta device: names, shapes and types without values."""
    import torch

    from medpt.models.registry import build_encoder

    with torch.device("meta"):
        return {ENCODER + name: tensor for name, tensor in build_encoder(backbone).state_dict().items()}


def differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return a line for each tensor that is missing, unexpected, or of another shape or type."""
    missing = [f"missing tensor {name}" for name in expected if name not in given]
    unexpected = [f"unexpected tensor {name}" for name in given if name not in expected]
    changed = [
        f"{name}: {_kind(given[name])} where {_kind(tensor)} is expected"
        for name, tensor in expected.items()
        if name in given and _kind(given[name]) != _kind(tensor)
    ]
    return missing + unexpected + changed


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _read(backbone: str, file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; {_advice(backbone)}")
    if file.suffix == ".safetensors":
        return load(file)
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything in the restricted unpickler
        raise InputError(
            f"{file}: not a complete PyTorch file of tensors ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{file}: not a plain state dict (names to tensors) as torchvision publishes it")
    return dict(state)


def _download(backbone: str) -> dict[str, Tensor]:
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
