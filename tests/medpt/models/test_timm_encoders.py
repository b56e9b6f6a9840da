"""timm's networks as encoders: timm's own features, five maps for decoders, one for plain transformers."""

import pytest
import timm
import torch

from medpt import extensions
from medpt.errors import InputError
from medpt.models.contract import backbone_problems, segmenter_problems
from medpt.models.foreign_encoder import map_encoder
from medpt.models.key_mapping import KeyMapping
from medpt.models.registry import build_classifier, build_encoder, build_segmenter
from medpt.models.weights import load_encoder

SIDE = 64


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "tf_efficientnet_lite0"])
def test_networks_with_stages_satisfy_the_contract(name: str) -> None:
    assert backbone_problems(f"timm/{name}", SIDE) == []
    assert segmenter_problems("unet", f"timm/{name}", SIDE) == []
    assert segmenter_problems("deeplabv3plus", f"timm/{name}", SIDE) == []


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "ghostnet_050"])  # no such option, no such value
def test_network_that_timm_does_not_dilate_is_refused_for_deeplab(name: str) -> None:
    backbone = f"timm/{name}"
    assert backbone_problems(backbone, SIDE) == segmenter_problems("unet", backbone, SIDE) == []
    (problem,) = segmenter_problems("deeplabv3plus", backbone, SIDE)
    assert problem == f"backbone: {backbone} cannot be built with output_stride 16; use another architecture"


def test_maps_are_those_of_timms_own_feature_extractor() -> None:
    encoder = build_encoder("timm/resnet18").eval()
    reference = timm.create_model("resnet18", features_only=True).eval()
    inner = {name.removeprefix("network."): tensor for name, tensor in encoder.state_dict().items()}
    reference.load_state_dict(inner)
    images = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        for ours, theirs in zip(encoder(images), reference(images), strict=True):
            assert torch.equal(ours, theirs)


def test_half_sized_image_stands_in_for_a_missing_map_at_stride_2() -> None:
    encoder = build_encoder("timm/convnext_atto").eval()
    images = torch.rand(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        first, *_ = encoder(images)
    assert encoder.channels == (3, 40, 80, 160, 320)
    torch.testing.assert_close(first[0, :, 0, 0], images[0, :, :2, :2].mean(dim=(1, 2)))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_classifiers_give_the_logits_of_timm(name: str) -> None:
    """Also of a file in timm's format, and of images of another side than that of pre-training."""
    options = {"dynamic_img_size": True} if name.startswith("vit") else {}
    theirs = timm.create_model(name, num_classes=7, **options).eval()
    head = "head." if name.startswith("vit") else "classifier."
    ours = build_classifier(f"timm/{name}", 7).eval()
    state = map_encoder(f"timm/{name}", theirs.state_dict(), KeyMapping(drop=(head,)), "file")
    load_encoder(ours.get_submodule("encoder"), state)
    ours.get_submodule("logits").load_state_dict(theirs.get_classifier().state_dict())
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-5, atol=1e-5)


def test_plain_transformers_are_refused_for_segmentation() -> None:
    assert backbone_problems("timm/vit_tiny_patch16_224", SIDE) == []
    with pytest.raises(InputError, match=r"unet needs maps at five strides.*use it as a classifier"):
        build_segmenter("unet", "timm/vit_tiny_patch16_224", 2)


def test_unknown_networks_and_unfit_ones_are_refused() -> None:
    with pytest.raises(InputError, match="timm has no 'resnet19'; did you mean "):
        build_encoder("timm/resnet19")
    with pytest.raises(InputError, match="output_stride"):
        build_encoder("timm/vit_tiny_patch16_224", 16)


def test_version_of_timm_is_part_of_a_unit() -> None:
    used = {"backbone timm/resnet18": f"timm {timm.__version__}"}
    assert extensions.versions(backbone="timm/resnet18", architecture="unet") == used
    extensions.require(used)
    with pytest.raises(InputError, match=r"timm 0\.1 is planned, timm .* is installed"):
        extensions.require({"backbone timm/resnet18": "timm 0.1"})


def test_without_timm_the_message_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> str:
        raise extensions.metadata.PackageNotFoundError("timm")

    monkeypatch.setattr(extensions.metadata, "version", absent)
    with pytest.raises(InputError, match=r"needs the package timm; install medpt-grid\[timm\]"):
        extensions.versions(backbone="timm/resnet18")
