"""Exported networks give what the kept network gives, and their cards' lines load them without grid."""

import errno
import re
import subprocess
import sys
from pathlib import Path

import made_space
import numpy as np
import onnxruntime
import pytest
import torch

from grid import export
from grid.execution.worker import marker_of
from grid.store.kept_networks import load_network
from grid.store.store import Store
from medpt.models import weights
from medpt.models.__main__ import main as models_main
from medpt.models.registry import build_classifier
from medpt.models.weights import ENCODER, encoder_state
from medpt.models.weights_file import load_encoder_state, read_weights_file
from medpt.trained_network import WEIGHTS, NetworkFacts, class_probabilities

BARE = "import sys; sys.modules['grid'] = sys.modules['medpt'] = None\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    """A finished space, and the digest of its only fine-tuning whose network was kept."""
    folder = tmp_path_factory.mktemp("export")
    plan = made_space.plan(folder, made_space.FEW_UNITS)
    digest = next(name for trial, name in plan.trials if trial.initialization == "ISIC2019")
    store = made_space.publish(plan, folder / "out", {digest}, {})
    unit = plan.units[digest]
    built = store.root / "units" / "built"
    built.mkdir()
    scores = made_space.write(unit.kind, unit.spec, built)
    weights.save(built / WEIGHTS, build_classifier("shufflenet_v2", 2).state_dict())
    NetworkFacts("ChestXRay2017", "classification", "x-ray", ("NORMAL", "PNEUMONIA"), 32).write(built)
    store.publish(digest, built, marker_of(unit, scores, made_space.STARTED, 1))
    return store, digest


def run(made: tuple[Store, str], to: Path, code: int = 0) -> str:
    """Export the network, execute the Python of its card in a process without grid, and return the card."""
    given = ["--space", "made", "--out", made[0].out, "--digest", made[1][:16], "--to", str(to)]
    assert export.main(given) == code
    if code:
        return ""
    card = to.with_suffix(".md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(lines.splitlines()) <= 10
    subprocess.run([sys.executable, "-W", "ignore", "-c", BARE + lines], cwd=to.parent, check=True)
    return card


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_exported_program_equals_the_network(made: tuple[Store, str], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    card = run(made, path)
    images = pixels(3)
    expected = class_probabilities([load_network(*made)], images).numpy()
    if suffix == ".onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(None, {"pixels": images})[0]
    else:
        with torch.inference_mode():
            found = torch.export.load(path).module()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    for text in (
        "ChestXRay2017 | fine-tuned",
        "ISIC2019 | pre-trained",
        "95 % interval",
        "| learning_rate | 0.0001 |",
    ):
        assert text in card
    assert "trained_on: ChestXRay2017, ISIC2019" in card


def test_exported_encoder_is_an_initialization(
    made: tuple[Store, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "encoder.safetensors"
    run(made, path)
    described = read_weights_file(path.with_suffix(".yaml"))
    assert described.trained_on == ("ChestXRay2017", "ISIC2019")
    found = load_encoder_state(described)
    expected = encoder_state(load_network(*made).model.state_dict())
    assert found.keys() == expected.keys()
    assert all(name.startswith(ENCODER) and torch.equal(found[name], expected[name]) for name in found)
    capsys.readouterr()
    assert models_main(["inspect", str(path)]) == 0
    assert "backbone: shufflenet_v2" in capsys.readouterr().out


def test_files_that_exist_and_unknown_kinds_are_refused(
    made: tuple[Store, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.md").touch()
    run(made, tmp_path / "model.pt2", code=2)
    assert "model.md exists; name a new file" in capsys.readouterr().err
    (tmp_path / "link.pt2").symlink_to(tmp_path / "none")
    run(made, tmp_path / "link.pt2", code=2)
    assert "link.pt2 exists; name a new file" in capsys.readouterr().err
    run(made, tmp_path / "model.pth", code=2)
    assert "files of .pt2, .onnx, .safetensors are accepted" in capsys.readouterr().err


@pytest.mark.parametrize("writer", ["medpt.files.write_text", "medpt.export.write_text"])
def test_export_that_cannot_be_completed_leaves_no_file(
    made: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    """The card, or the YAML of an encoder, does not fit on the disk."""

    def full_disk(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(writer, full_disk)
    run(made, tmp_path / "encoder.safetensors", code=1)
    assert not list(tmp_path.iterdir())
