"""The initializations that advice is about."""

from dataclasses import asdict
from pathlib import Path

import published
import pytest
from user_data import class_folders

from grid.advise.candidates import candidates
from grid.compare.target import understand
from grid.store.records import Marker
from grid.store.store import Store
from medpt.data import catalog
from medpt.models import weights
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain


def finished(store: Store, steps: int, dataset: str = "EyePACS", backbone: str = "resnet18") -> str:
    """Publish a pre-training without a network of any use."""
    spec = Pretrain((dataset,), ("data",), backbone, "classifier", protocol=TrainingProtocol(max_steps=steps))
    folder = store.root / "units" / "built"
    folder.mkdir()
    weights.save(folder / "best.safetensors", {})
    label = f"{dataset} · {backbone}"
    marker = Marker(
        spec.digest, "pretrain", asdict(spec), (), label, 1, {"val_auc": 0.9}, "host", 1, 1.0, 2.0
    )
    store.publish(spec.digest, folder, marker)
    return spec.digest


def test_kept_pretrainings_and_described_weights_are_named_as_initializations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    published.describe(tmp_path, "radimagenet", backbone="resnet18")
    store = Store(tmp_path / "runs")
    store.create()
    finished(store, 100)
    long = finished(store, 200)
    finished(store, 300, backbone="densenet121")
    finished(store, 300, dataset="skin")
    card = understand(class_folders(tmp_path / "skin")).card
    found, notes = candidates(card, None, str(tmp_path / "runs"), None, "resnet18")
    assert [source.name for source in found] == [
        "random",
        "radimagenet",
        "EyePACS",
        "SS-Jigsaw",
        "SS-Context",
    ]
    assert found[2].weights == store.artifact(long, "best.safetensors")
    assert "200 steps" in found[2].reason
    assert [source.can_be_probed for source in found] == [True, True, True, False, False]
    assert "imagenet*" in notes[0]


def test_datasets_of_the_modality_come_first(tmp_path: Path) -> None:
    for name in ("ISIC2019", "DRIVE", "MESSIDOR", "EyePACS"):
        (tmp_path / "data" / name).mkdir(parents=True)
    found, _ = candidates(catalog.card("STARE-CLS"), tmp_path / "data", "none", None, "resnet18")
    names = [source.name for source in found]
    assert names == ["random", "EyePACS", "MESSIDOR", "DRIVE", "ISIC2019", "SS-Jigsaw", "SS-Context"]


def test_folder_without_results_is_no_error(tmp_path: Path) -> None:
    card = understand(class_folders(tmp_path / "skin")).card
    found, _ = candidates(card, None, str(tmp_path / "none"), None, "resnet18")
    assert "random" in [source.name for source in found]
