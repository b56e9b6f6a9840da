"""torchvision's published files give the networks of torchvision; others are refused without running code."""

import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from changed_tensors import altered, assert_equal
from torch import nn

from medpt.errors import InputError
from medpt.models import torchvision_weights, weights
from medpt.models.registry import BACKBONES, build_classifier

TORCHVISION = {
    "resnet18": torchvision.models.resnet18,
    "shufflenet_v2": torchvision.models.shufflenet_v2_x1_0,
    "densenet121": torchvision.models.densenet121,
    "resnet50": torchvision.models.resnet50,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_weights_give_the_logits_of_torchvision(backbone: str, suffix: str, tmp_path: Path) -> None:
    theirs = altered(TORCHVISION[backbone](num_classes=7)).eval()
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(theirs.state_dict(), file)
    else:
        weights.save(file, theirs.state_dict())
    ours = build_classifier(backbone, 7).eval()
    weights.transfer_encoder(ours, torchvision_weights.published(backbone, file))
    head = theirs.fc if hasattr(theirs, "fc") else theirs.classifier
    head = head[1] if isinstance(head, nn.Sequential) else head  # after a dropout
    ours.get_submodule("logits").load_state_dict(head.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_published_reads_the_old_densenet_file(tmp_path: Path) -> None:
    """torchvision publishes DenseNet with `norm.1` instead of `norm1` and without batch norm's counters."""
    theirs = altered(torchvision.models.densenet121(num_classes=1)).state_dict()
    old = {}
    for name, tensor in theirs.items():
        for part in ("norm", "relu", "conv"):
            for digit in "12":
                if "denselayer" in name:
                    name = name.replace(f".{part}{digit}.", f".{part}.{digit}.")
        if not name.endswith("num_batches_tracked"):
            old[name] = tensor
    torch.save(old, tmp_path / "old.pth")
    state = torchvision_weights.published("densenet121", tmp_path / "old.pth")
    expected = {
        f"encoder.{k.removeprefix('features.')}": v for k, v in theirs.items() if "classifier" not in k
    }
    zero = torch.zeros((), dtype=torch.int64)
    assert_equal(state, {k: zero if k.endswith("num_batches_tracked") else v for k, v in expected.items()})


def test_published_refuses_weights_of_another_backbone(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(num_classes=1).state_dict(), tmp_path / "r.pth")
    with pytest.raises(InputError, match=r"r.pth: 336 tensors of the encoder are missing: conv1") as caught:
        torchvision_weights.published("shufflenet_v2", tmp_path / "r.pth")
    _, left_over, advice = caught.value.problems
    assert "120 tensors of the file are left over: conv1.weight" in left_over
    assert advice.endswith("no mapping was found; is this another network?")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("sprung"),))  # type: ignore[return-value]


def test_no_code_runs_from_a_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "nested.pth")
    (tmp_path / "text.pth").write_text("<html>")
    with pytest.raises(InputError, match=r"trap.pth: holds more than tensors"):
        torchvision_weights.published("resnet18", tmp_path / "trap.pth")
    with pytest.raises(InputError, match=r"1 tensors of the file are left over: state_dict\.x"):
        torchvision_weights.published("resnet18", tmp_path / "nested.pth")
    with pytest.raises(InputError, match=r"text.pth: not a complete PyTorch file"):
        torchvision_weights.published("resnet18", tmp_path / "text.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_says_what_to_fetch_without_a_file(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = torchvision_weights.published_name(backbone)
    advice = rf"fetch \S+/{name} into a folder and name the folder with --imagenet-weights DIR"
    with pytest.raises(InputError, match=rf"{name}: no such file; {advice}"):
        torchvision_weights.published(backbone, tmp_path / name)

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(InputError, match=rf"{name}: no download \(no route to host\); {advice}"):
        torchvision_weights.published(backbone)


def test_published_uses_the_download_cache_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(
        theirs.state_dict(), tmp_path / "hub" / "checkpoints" / torchvision_weights.published_name("resnet18")
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = torchvision_weights.published("resnet18")
    assert_equal(
        state, {f"encoder.{k}": v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    )
