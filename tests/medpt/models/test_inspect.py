"""`python -m medpt.models inspect FILE` proposes a YAML file by which the weights load."""

from pathlib import Path

import pytest
import torch

from medpt.models.__main__ import main
from medpt.models.registry import build_encoder
from medpt.models.weights_file import load_encoder_state, read_weights_file


def test_proposal_is_a_file_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = build_encoder("mobilenet_v2").state_dict()
    head = {"head.weight": torch.ones(3, 1280)}
    content = {"state_dict": {f"module.encoder_q.{name}": tensor for name, tensor in (state | head).items()}}
    torch.save(content, tmp_path / "moco.pth")
    assert main(["inspect", str(tmp_path / "moco.pth")]) == 0
    (tmp_path / "mine.yaml").write_text(capsys.readouterr().out)
    weights = read_weights_file(tmp_path / "mine.yaml")
    assert (weights.backbone, weights.strip) == ("mobilenet_v2", "state_dict.module.encoder_q.")
    assert weights.trained_on == "unknown"
    loaded = load_encoder_state(weights)
    assert all(torch.equal(loaded[f"encoder.{name}"], tensor) for name, tensor in state.items())


def test_file_of_no_known_network_ends_with_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"x": torch.ones(2, 3)}, tmp_path / "x.pth")
    assert main(["inspect", str(tmp_path / "x.pth")]) == 1
    output = capsys.readouterr().out
    assert "x                                        1 tensor, the first 2×3" in output
    assert "no built-in backbone fits; name another one with --backbone" in output
    assert main(["inspect", str(tmp_path / "x.pth"), "--backbone", "resnet18"]) == 1
    assert "no mapping was found by which the file fits resnet18" in capsys.readouterr().out


def test_bad_input_ends_with_code_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "absent.pth")]) == 2
    torch.save({"x": torch.ones(1)}, tmp_path / "x.pth")
    assert main(["inspect", str(tmp_path / "x.pth"), "--backbone", "resnet81"]) == 2
    absent, unknown = capsys.readouterr().err.splitlines()
    assert "absent.pth: no such file" in absent
    assert "no 'resnet81'; did you mean resnet18" in unknown
