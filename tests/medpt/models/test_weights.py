"""Transfer is all or nothing; files are complete tensors, or an error that names what is wrong."""

import hashlib
from pathlib import Path

import pytest
import torch
from changed_tensors import altered, assert_equal
from safetensors import safe_open

from medpt.errors import InputError
from medpt.models import weights
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_encoder, build_segmenter


@pytest.mark.parametrize("backbone", BACKBONES)
def test_transfer_encoder_copies_a_saved_classifier_into_every_segmenter(
    backbone: str, tmp_path: Path
) -> None:
    source = altered(build_classifier(backbone, 5)).state_dict()
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
    state = dict(altered(build_classifier("resnet18", 2)).state_dict())
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
    source = altered(build_segmenter(architecture, "shufflenet_v2", 3)).state_dict()
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
