"""A fine-tuned network that was kept: its best weights, and what its images and classes are.

A fine-tuning writes WEIGHTS and FACTS among its files. With its specification they are all that rebuilds the
network as it was tested, in the same precision and memory layout.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medpt import extensions
from medpt.errors import InputError
from medpt.files import read_json, write_json
from medpt.models import weights
from medpt.models.registry import build_network
from medpt.normalisation import IMAGENET, Normalisation
from medpt.specs import Finetune

if TYPE_CHECKING:
    from torch import Tensor, nn

    from medpt.data.manifest import Index

TASKS = ("classification", "multilabel", "segmentation")
WEIGHTS, FACTS = "network.weights", "network.json"  # the first in the format of safetensors


@dataclass(frozen=True)
class NetworkFacts:
    """What a network was fine-tuned on.

    `size` is the side in pixels of its images. `channels_last` is the memory layout of its training; another
    layout rounds differently.
    """

    dataset: str
    task: str
    modality: str
    classes: tuple[str, ...]
    size: int
    channels_last: bool = False

    def write(self, folder: Path) -> None:
        write_json(folder / FACTS, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "NetworkFacts":
        """Raises InputError where the file is missing or has no facts of a network."""
        try:
            values = read_json(path)
            facts = cls(**{**values, "classes": tuple(values["classes"])})
            if facts.task not in TASKS or not all(isinstance(name, str) for name in facts.classes):
                raise ValueError(f"task {facts.task!r} and classes {facts.classes!r}")
            return facts
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path}: has no facts of a network ({error})") from None


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode, on the device that it was loaded to."""

    model: "nn.Module"
    spec: Finetune
    facts: NetworkFacts

    @property
    def normalisation(self) -> Normalisation:
        """That of its images, of medpt.data.augment.normalise."""
        return self.spec.normalisation or IMAGENET

    def logits(self, images: NDArray[np.uint8]) -> "Tensor":
        """Apply it to prepared images (N, S, S, 3): float32 (N, K), of segmentation (N, K, S, S)."""
        import torch

        from medpt.data.augment import normalise
        from medpt.tasks.base import forward

        device = next(self.model.parameters()).device
        with torch.no_grad():
            return forward(self.model, normalise(torch.from_numpy(images).to(device), self.normalisation))[0]


def save_network(folder: Path, model: "nn.Module", index: "Index", *, channels_last: bool) -> None:
    """Write the weights of a network that was fine-tuned on the data of `index`, and its facts."""
    weights.save(folder / WEIGHTS, model.state_dict())
    known = (index.dataset, index.task, index.modality, tuple(index.classes), index.size)
    NetworkFacts(*known, channels_last=channels_last).write(folder)


def load_network(spec: Finetune, folder: Path, device: str = "cpu") -> TrainedNetwork:
    """Load what `save_network` wrote of a fine-tuning by `spec`, ready to be applied to normalised images.

    Raises InputError where an extension is missing, or where the files do not belong to the specification.
    """
    import torch

    from medpt.optimiser import use_bfloat16

    extensions.require(spec.extensions)
    facts, state = NetworkFacts.read(folder / FACTS), weights.load(folder / WEIGHTS)
    model = build_network(spec.architecture, spec.backbone, len(facts.classes))
    problems = weights.differences(model.state_dict(), state)
    problems += [f"{name} is not finite" for name, found in state.items() if not bool(found.isfinite().all())]
    if problems:
        raise InputError(f"{folder / WEIGHTS}: {problem}" for problem in problems)
    layout = torch.channels_last if facts.channels_last else torch.preserve_format
    model.to(device).to(memory_format=layout)
    model.load_state_dict(state)
    if spec.protocol.precision == "bf16":
        use_bfloat16(model, torch.device(device))
    return TrainedNetwork(model.eval(), spec, facts)


def class_probabilities(networks: Sequence[TrainedNetwork], images: NDArray[np.uint8]) -> "Tensor":
    """Return the mean over networks of the probability of each class, float32 (N, K) or (N, K, S, S).

    Those of an image sum to 1, but findings (multilabel) have each their own.
    """
    import torch

    several = networks[0].facts.task == "multilabel"
    each = [network.logits(images) for network in networks]
    return torch.stack([found.sigmoid() if several else found.softmax(1) for found in each]).mean(0)


def class_masks(networks: Sequence[TrainedNetwork], images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the most probable class of each pixel, (N, S, S)."""
    alone = len(networks) == 1  # probabilities would tie where logits do not
    found = networks[0].logits(images) if alone else class_probabilities(networks, images)
    masks: NDArray[np.uint8] = found.argmax(1).cpu().numpy().astype(np.uint8)
    return masks


def image_probabilities(networks: Sequence[TrainedNetwork], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `class_probabilities` of images, (N, K), on the CPU."""
    found: NDArray[np.float32] = class_probabilities(networks, images).cpu().numpy()
    return found
