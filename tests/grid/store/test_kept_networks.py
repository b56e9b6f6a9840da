"""The networks of finished fine-tunings in a store."""

from pathlib import Path

import pytest
import torch
from made_units import marker

from grid.store.kept_networks import load_network, without_networks
from grid.store.records import Origin
from grid.store.store import Store
from medpt.errors import InputError
from medpt.models import weights
from medpt.models.registry import build_classifier
from medpt.specs import Finetune
from medpt.trained_network import WEIGHTS, NetworkFacts

SPEC = Finetune("random", None, "Toy", "d", "shufflenet_v2", "classifier")
CLASSES = ("ill", "well")


def publish(store: Store, seed: int, *, keep: bool = True, origin: Origin | None = None) -> str:
    """Publish a fine-tuning, with or without its network, and return its digest."""
    spec = Finetune(**{**vars(SPEC), "seed": seed})
    folder = store.root / "built"
    folder.mkdir()
    (folder / "history.json").write_text("[]")
    if keep:
        weights.save(folder / WEIGHTS, build_classifier(spec.backbone, len(CLASSES)).state_dict())
        NetworkFacts("Toy", "classification", "fundus", CLASSES, 32).write(folder)
    store.publish(spec.digest, folder, marker(spec.digest, spec=spec.to_json(), label="Toy", origin=origin))
    return spec.digest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "out")
    store.create()
    return store


def test_kept_network_is_rebuilt_from_the_marker(store: Store) -> None:
    network = load_network(store, publish(store, 0))
    assert (network.spec, network.facts.classes) == (SPEC, CLASSES)
    assert network.model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    assert not network.model.training


def test_network_that_was_not_kept_names_the_command(store: Store) -> None:
    with pytest.raises(InputError, match="not kept; run its space with --keep-missing"):
        load_network(store, publish(store, 0, keep=False))


def test_damaged_network_is_refused(store: Store) -> None:
    digest = publish(store, 0)
    (store.folder(digest) / WEIGHTS).write_bytes(b"cut off")
    with pytest.raises(InputError, match="is not the file that was published"):
        load_network(store, digest)


def test_units_without_networks_are_found_in_order(store: Store) -> None:
    kept, other = publish(store, 0), publish(store, 1, keep=False)
    pulled = publish(store, 2, origin=Origin("them", "batch", withheld=(WEIGHTS,)))
    assert without_networks(store, [pulled, kept, "f" * 64, other]) == [pulled, other]
