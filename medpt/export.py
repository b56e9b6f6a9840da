"""A fine-tuned network as one file that needs neither medpt nor grid: .pt2, .onnx, or its encoder's weights.

The exported program takes prepared images as uint8 (N, S, S, 3) RGB and scales them itself, so that nobody
can feed it with another normalisation. It returns probabilities and computes in float32.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from medpt.data.augment import affine
from medpt.errors import InputError
from medpt.files import replacing, sha256, write_text
from medpt.models import weights
from medpt.models.registry import build_network
from medpt.models.weights_file import NAME
from medpt.tasks.base import forward
from medpt.trained_network import TrainedNetwork

INPUT, OUTPUT = "pixels", "probabilities"


class ExportedNetwork(nn.Module):
    """Map prepared images uint8 (N, S, S, 3) to probabilities (N, K), of segmentation (N, K, S, S)."""

    scale: Tensor
    offset: Tensor

    def __init__(self, network: TrainedNetwork) -> None:
        super().__init__()
        spec = network.spec
        self.model = build_network(spec.architecture, spec.backbone, len(network.facts.classes))
        self.model.load_state_dict(network.model.state_dict())
        self.several = network.facts.task == "multilabel"
        scale, offset = affine(network.normalisation, torch.device("cpu"))
        self.register_buffer("scale", scale.clone())
        self.register_buffer("offset", offset.clone())

    def forward(self, pixels: Tensor) -> Tensor:
        values = pixels.permute(0, 3, 1, 2).float() * self.scale + self.offset
        (logits, *_) = forward(self.model, values)
        return logits.sigmoid() if self.several else logits.softmax(1)


def traced(network: TrainedNetwork) -> torch.export.ExportedProgram:
    """Return the program of a network for any number of images."""
    module = ExportedNetwork(network).eval()
    images = torch.zeros(2, network.facts.size, network.facts.size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on its own code
        return torch.export.export(module, (images,), dynamic_shapes=({0: torch.export.Dim("images")},))


def write_pt2(network: TrainedNetwork, path: Path) -> None:
    """Write the program of torch.export, which `torch.export.load` reads."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.export.save(traced(network), file)


def write_onnx(network: TrainedNetwork, path: Path) -> None:
    """Write an ONNX model in one file. Raises InputError without the packages of the extra `onnx`."""
    try:
        import onnxscript  # noqa: F401 - which torch.onnx needs
    except ImportError as error:
        raise InputError(f"{path}: ONNX needs the packages of medpt-grid[onnx] ({error})") from None
    program = traced(network)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            program,
            (),
            str(temporary),
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )


def write_encoder(network: TrainedNetwork, path: Path, described: Mapping[str, object]) -> None:
    """Write the encoder's tensors by the backbone's own names, and their description beside them as YAML.

    `described` are the keys of a WeightsFile that the network does not say itself: licence, citation and
    trained_on. Raises InputError for a name that no initialization can have.
    """
    if not NAME.fullmatch(path.stem):
        raise InputError(f"{path}: an initialization is called by letters, digits, and _ . - after a letter")
    backbone = network.spec.backbone
    prefix, state = weights.encoder_prefix(backbone), weights.encoder_state(network.model.state_dict())
    weights.save(path, {name.removeprefix(prefix): tensor for name, tensor in state.items()})
    text = yaml.safe_dump(
        {
            "file": path.name,
            "sha256": sha256(path),
            "format": "safetensors",
            "backbone": backbone,
            **{name: list(numbers) for name, numbers in asdict(network.normalisation).items()},
            "input_size": network.facts.size,
            **described,
        },
        sort_keys=False,
        allow_unicode=True,
        width=1000,
    )
    write_text(path.with_suffix(".yaml"), text)


Writer = Callable[[TrainedNetwork, Path], None]
PROGRAMS: dict[str, Writer] = {".pt2": write_pt2, ".onnx": write_onnx}
