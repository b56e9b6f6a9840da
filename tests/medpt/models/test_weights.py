"""Transfer is all or nothing; files are whole tensors or an error that names them; torchvision's weights
fit ours.
"""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors import safe_open
from torch import Tensor, nn

from medpt.errors import InputError
from medpt.models import weights
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_encoder, build_segmenter

TORCHVISION = {
    "resnet18": torchvision.models.resnet18,
    "shufflenet_v2": torchvision.models.shufflenet_v2_x1_0,
    "densenet121": torchvision.models.densenet121,
    "resnet50": torchvision.models.resnet50,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
}


def worn(model: nn.Module) -> nn.Module:
    """Every tensor moved off its initial value, so that one left behind shows."""
    for tensor in model.state_dict().values():
        if tensor.dim() > 1:
            tensor.mul_(1.1 + torch.rand(tensor.shape) / 10)
        else:
            tensor.add_(7 if tensor.dtype == torch.int64 else 0.01 + torch.rand(tensor.shape) / 100)
    return model


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("backbone", BACKBONES)
def test_transfer_encoder_copies_a_saved_classifier_into_every_segmenter(
    backbone: str, tmp_path: Path
) -> None:
    source = worn(build_classifier(backbone, 5)).state_dict()
    weights.save(tmp_path / "source.safetensors", source)
    loaded = weights.load(tmp_path / "source.safetensors")
    assert_equal(source, loaded)
    for architecture in ARCHITECTURES:
        decoders = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            model = build_segmenter(architecture, backbone, 2)
            weights.transfer_encoder(model, loaded)
            assert_equal(weights.encoder_state(source), weights.encoder_state(model.state_dict()))
            decoders.append(
                {k: v for k, v in model.state_dict().items() if k.endswith("weight") and v.dim() > 1}
            )
        assert not any(
            torch.equal(tensor, decoders[1][name])
            for name, tensor in decoders[0].items()
            if not name.startswith(weights.ENCODER)
        )


def test_transfer_encoder_names_every_unfit_tensor_and_changes_nothing() -> None:
    model = build_classifier("resnet18", 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = dict(worn(build_classifier("resnet18", 2)).state_dict())
    del state["encoder.bn1.running_mean"]
    state["encoder.extra"] = torch.zeros(1)
    state["encoder.conv1.weight"] = torch.zeros(64, 1, 7, 7)
    state["encoder.bn1.num_batches_tracked"] = torch.tensor(1.0)
    with pytest.raises(InputError) as caught:
        weights.transfer_encoder(model, state)
    assert caught.value.problems == [
        "missing tensor encoder.bn1.running_mean",
        "unexpected tensor encoder.extra",
        "encoder.conv1.weight: float32 (64, 1, 7, 7) where float32 (64, 3, 7, 7) is expected",
        "encoder.bn1.num_batches_tracked: float32 () where int64 () is expected",
    ]
    assert_equal(before, dict(model.state_dict()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transfer_decoder_copies_all_but_the_logits(architecture: str) -> None:
    source = worn(build_segmenter(architecture, "shufflenet_v2", 3)).state_dict()
    model = build_segmenter(architecture, "shufflenet_v2", 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copied = weights.transfer_decoder(model, source)
    after = model.state_dict()
    assert set(after) - set(copied) == {n for n in after if n.startswith(("encoder.", "logits."))}
    assert all(torch.equal(after[name], (source if name in copied else before)[name]) for name in after)


def test_transfer_decoder_refuses_another_network() -> None:
    model = build_segmenter("unet", "resnet18", 2)
    with pytest.raises(InputError, match="no decoder tensor of UNet matches"):
        weights.transfer_decoder(model, build_classifier("resnet18", 2).state_dict())


def test_save_writes_equal_bytes_for_any_memory_format(tmp_path: Path) -> None:
    state = build_encoder("resnet18").state_dict()
    last = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
        for name, tensor in state.items()
    }
    for name, tensors in (("a", state), ("b", last)):
        weights.save(tmp_path / name, tensors)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "ab"}
    assert len(digests) == 1
    with safe_open(tmp_path / "a", "pt") as file:
        assert file.metadata() == {"medpt": "{}"}


def test_load_names_damaged_foreign_and_missing_files(tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    weights.save(whole, {"x": torch.arange(100.0)})
    content = whole.read_bytes()
    for cut in (0, 5, 40, len(content) - 1):
        (tmp_path / "cut").write_bytes(content[:cut])
        with pytest.raises(InputError, match="cut: not a complete safetensors file"):
            weights.load(tmp_path / "cut")
    torch.save({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(InputError, match="foreign: not a complete safetensors file"):
        weights.load(tmp_path / "foreign")
    with pytest.raises(InputError, match="absent: no such file"):
        weights.load(tmp_path / "absent")


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_published_weights_give_the_logits_of_torchvision(backbone: str, suffix: str, tmp_path: Path) -> None:
    theirs = worn(TORCHVISION[backbone](num_classes=7)).eval()
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save(theirs.state_dict(), file)
    else:
        weights.save(file, theirs.state_dict())
    ours = build_classifier(backbone, 7).eval()
    weights.transfer_encoder(ours, weights.published(backbone, file))
    head = theirs.fc if hasattr(theirs, "fc") else theirs.classifier
    head = head[1] if isinstance(head, nn.Sequential) else head  # after a dropout
    ours.get_submodule("logits").load_state_dict(head.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_published_reads_the_old_densenet_file(tmp_path: Path) -> None:
    """torchvision publishes DenseNet with `norm.1` in place of `norm1` and without batch norm's counters."""
    theirs = worn(torchvision.models.densenet121(num_classes=1)).state_dict()
    old = {}
    for name, tensor in theirs.items():
        for part in ("norm", "relu", "conv"):
            for digit in "12":
                if "denselayer" in name:
                    name = name.replace(f".{part}{digit}.", f".{part}.{digit}.")
        if not name.endswith("num_batches_tracked"):
            old[name] = tensor
    torch.save(old, tmp_path / "old.pth")
    state = weights.published("densenet121", tmp_path / "old.pth")
    expected = {
        f"encoder.{k.removeprefix('features.')}": v for k, v in theirs.items() if "classifier" not in k
    }
    zero = torch.zeros((), dtype=torch.int64)
    assert_equal(state, {k: zero if k.endswith("num_batches_tracked") else v for k, v in expected.items()})


def test_published_refuses_weights_of_another_backbone(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(num_classes=1).state_dict(), tmp_path / "r.pth")
    with pytest.raises(InputError, match=r"r.pth: missing tensor encoder\.stage2") as caught:
        weights.published("shufflenet_v2", tmp_path / "r.pth")
    assert any("unexpected tensor encoder.layer1" in problem for problem in caught.value.problems)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("sprung"),))  # type: ignore[return-value]


def test_no_code_runs_from_a_published_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    torch.save({"state_dict": {"x": torch.zeros(1)}}, tmp_path / "nested.pth")
    (tmp_path / "text.pth").write_text("<html>")
    with pytest.raises(InputError, match=r"trap.pth: not a complete PyTorch file"):
        weights.published("resnet18", tmp_path / "trap.pth")
    with pytest.raises(InputError, match=r"nested.pth: not a plain state dict"):
        weights.published("resnet18", tmp_path / "nested.pth")
    with pytest.raises(InputError, match=r"text.pth: not a complete PyTorch file"):
        weights.published("resnet18", tmp_path / "text.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_says_what_to_fetch_without_a_file(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = weights.published_name(backbone)
    advice = rf"fetch \S+/{name} into a folder and name the folder with --imagenet-weights DIR"
    with pytest.raises(InputError, match=rf"{name}: no such file; {advice}"):
        weights.published(backbone, tmp_path / name)

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    with pytest.raises(InputError, match=rf"{name}: no download \(no route to host\); {advice}"):
        weights.published(backbone)


def test_published_uses_the_download_cache_of_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / weights.published_name("resnet18"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = weights.published("resnet18")
    assert_equal(
        state, {f"encoder.{k}": v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    )


def test_random_weights_are_drawn_by_their_seed() -> None:
    one, same, other = (weights.random_weights("resnet18", seed) for seed in (0, 0, 1))
    name = "encoder.conv1.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


def test_encoder_is_built_with_the_given_weights_or_random_ones() -> None:
    state = weights.random_weights("resnet18", seed=1)
    given, drawn = (
        weights.build_encoder_with("resnet18", state),
        weights.build_encoder_with("resnet18", None, seed=1),
    )
    assert torch.equal(given.state_dict()["conv1.weight"], state["encoder.conv1.weight"])
    assert not torch.equal(drawn.state_dict()["conv1.weight"], state["encoder.conv1.weight"])
