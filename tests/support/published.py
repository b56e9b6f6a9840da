"""Published weights beside a space: a file under foreign names, and its description."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medpt.files import sha256
from medpt.models.weights import random_weights
from medpt.normalisation import IMAGENET

BASE: dict[str, Any] = {
    "format": "torch",
    "backbone": "shufflenet_v2",
    "strip": "module.net.",
    "mean": IMAGENET.mean,
    "std": IMAGENET.std,
    "input_size": 224,
    "licence": "CC0",
    "citation": "nobody",
    "trained_on": ["RadImageNet"],
}


def describe(
    folder: Path, name: str, encoder: Mapping[str, Tensor] | None = None, *, file: str = "", **changes: Any
) -> Path:
    """Write the tensors `encoder.*` (random without any) and initializations/NAME.yaml below `folder`.

    JSON is YAML, too. None removes a key.
    """
    values = BASE | changes | {"file": file or f"{name}.pth"}
    if encoder is None:
        encoder = random_weights(values["backbone"], 0)
    here = folder / "initializations"
    here.mkdir(exist_ok=True)
    state = {f"module.net.{key.removeprefix('encoder.')}": tensor for key, tensor in encoder.items()}
    content = BytesIO()  # a file's name would become part of its content
    torch.save(state, content)
    (here / values["file"]).write_bytes(content.getvalue())
    values = {"sha256": sha256(here / values["file"])} | values
    path = here / f"{name}.yaml"
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return path
