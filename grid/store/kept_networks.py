"""The networks that finished units kept, from the files of a store."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from grid.store.records import Marker
from grid.store.store import Store
from medpt.data.manifest import MANIFEST, Manifest
from medpt.errors import InputError
from medpt.specs import Finetune, Pretrain
from medpt.trained_network import FACTS, WEIGHTS

if TYPE_CHECKING:
    from medpt.disc_detector import Detector
    from medpt.trained_network import TrainedNetwork

PRETRAINED = "best.safetensors"  # the weights of a pre-training
REMEDY = "run its space with --keep-missing, which runs it again and keeps them"


def has_network(marker: Marker) -> bool:
    """Whether the artifacts of a finished fine-tuning have its network."""
    return {FACTS, WEIGHTS} <= marker.artifacts.keys() - set(marker.origin.withheld if marker.origin else ())


def without_networks(store: Store, digests: Iterable[str]) -> list[str]:
    """Return which of these units are finished fine-tunings whose network was not kept, in their order."""
    return [
        name
        for name, marker in store.markers(digests).items()
        if marker.kind == Finetune.kind and not has_network(marker)
    ]


def load_network(store: Store, digest: str, device: str = "cpu") -> "TrainedNetwork":
    """Load the network of a finished fine-tuning, ready to be applied to normalised images.

    Raises FileNotFoundError if the unit is not finished, and InputError if its network was not kept or its
    files are damaged.
    """
    from medpt import trained_network

    marker = store.marker(digest)
    if not has_network(marker):
        raise InputError(f"{marker.label} ({digest[:12]}): its weights were not kept; {REMEDY}")
    for name in (FACTS, WEIGHTS):
        store.artifact(digest, name)  # fetched, with the content that was published
    return trained_network.load_network(Finetune.from_json(marker.spec), store.folder(digest), device)


def load_detector(store: Store, digest: str) -> "Detector":
    """Return the network of a pre-training that finds optic discs, for images like its training images."""
    from medpt.disc_detector import Detector

    spec = Pretrain.from_json(store.marker(digest).spec)
    pipeline = Manifest.read(store.artifact(spec.data[0], MANIFEST).parent).prepare.pipeline
    return Detector(store.artifact(digest, PRETRAINED), spec.backbone, spec.architecture, pipeline)
