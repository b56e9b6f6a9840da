"""Files of weights, and the transfer of weights between networks.

A file appears complete or not at all. Only tensors are read from files, so no code runs from data. A transfer
copies every tensor of the encoder bit for bit, batch norm's statistics and counters included, or changes
nothing and names every tensor that does not fit. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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


def encoder_prefix(backbone: str) -> str:
    """Return what stands before a backbone's own names of tensors in ours."""
    return ENCODER + (TIMM_INNER if backbone.startswith(TIMM) else "")


def expected_tensors(backbone: str) -> dict[str, Tensor]:
    """Return a backbone's tensors by their names without `encoder_prefix`, on the meta device: no values."""
    import torch

    from medpt.models.registry import build_encoder

    prefix = encoder_prefix(backbone).removeprefix(ENCODER)
    with torch.device("meta"):
        state = build_encoder(backbone).state_dict()
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def differences(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return a line for each tensor that is missing, unexpected, or of another shape or type."""
    missing = [f"missing tensor {name}" for name in expected if name not in given]
    unexpected = [f"unexpected tensor {name}" for name in given if name not in expected]
    return missing + unexpected + changed_kinds(expected, given)


def changed_kinds(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return a line for each tensor in both mappings whose shape or type differs."""
    return [
        f"{name}: {_kind(given[name])} where {_kind(tensor)} is expected"
        for name, tensor in expected.items()
        if name in given and _kind(given[name]) != _kind(tensor)
    ]


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
