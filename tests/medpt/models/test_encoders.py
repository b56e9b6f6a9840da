"""Encoders: sizes, widths and counts of the specification; torchvision's maps; dilation that only moves
pixels apart.
"""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn

from medpt.errors import InputError
from medpt.models import encoders
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_encoder, build_segmenter

PARAMETERS = {
    "resnet18": 11_176_512,
    "shufflenet_v2": 1_253_604,
    "densenet121": 6_953_856,
    "resnet50": 23_508_032,
    "mobilenet_v2": 2_223_872,
}
HEAD = {"resnet18": 513, "shufflenet_v2": 1025, "densenet121": 1025, "resnet50": 2049, "mobilenet_v2": 1281}
CHANNELS = {
    "resnet18": (64, 64, 128, 256, 512),
    "shufflenet_v2": (24, 24, 116, 232, 1024),
    "densenet121": (64, 256, 512, 1024, 1024),
    "resnet50": (64, 256, 512, 1024, 2048),
    "mobilenet_v2": (16, 24, 32, 96, 1280),
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("output_stride", "sides"),
    [(32, (128, 64, 32, 16, 8)), (16, (128, 64, 32, 16, 16)), (8, (128, 64, 32, 32, 32))],
)
def test_encoder_maps_have_the_specified_shapes(
    backbone: str, output_stride: int, sides: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        encoder = build_encoder(backbone, output_stride)
        maps = encoder(torch.empty(2, 3, 256, 256))
    assert count(encoder) == PARAMETERS[backbone]
    assert encoder.channels == CHANNELS[backbone]
    shapes = [(2, width, side, side) for width, side in zip(CHANNELS[backbone], sides, strict=True)]
    assert [tuple(x.shape) for x in maps] == shapes


@pytest.mark.parametrize("backbone", BACKBONES)
def test_classifiers_have_the_specified_parameter_counts(backbone: str) -> None:
    with torch.device("meta"):
        model = build_classifier(backbone, 13)
        assert model(torch.empty(2, 3, 256, 256)).shape == (2, 13)
    assert count(model) == PARAMETERS[backbone] + 13 * HEAD[backbone]


def torchvision_maps(backbone: str, state: dict[str, Tensor], images: Tensor) -> list[Tensor]:
    """The five taps, written out over torchvision's own network."""
    if backbone.startswith("resnet"):
        net = torchvision.models.get_model(backbone).eval()
        net.load_state_dict(state, strict=False)
        f2 = net.relu(net.bn1(net.conv1(images)))
        f4 = net.layer1(net.maxpool(f2))
        f8 = net.layer2(f4)
        f16 = net.layer3(f8)
        return [f2, f4, f8, f16, net.layer4(f16)]
    if backbone == "shufflenet_v2":
        net = torchvision.models.shufflenet_v2_x1_0().eval()
        net.load_state_dict(state, strict=False)
        f2 = net.conv1(images)
        f4 = net.maxpool(f2)
        f8 = net.stage2(f4)
        f16 = net.stage3(f8)
        return [f2, f4, f8, f16, net.conv5(net.stage4(f16))]
    if backbone == "mobilenet_v2":
        layers = torchvision.models.mobilenet_v2().features.eval()
        layers.load_state_dict(state)
        return [layers[:end](images) for end in (2, 4, 7, 14, 19)]
    net = torchvision.models.densenet121().features.eval()
    net.load_state_dict(state)
    f2 = net.relu0(net.norm0(net.conv0(images)))
    f4 = net.denseblock1(net.pool0(f2))
    f8 = net.denseblock2(net.transition1(f4))
    f16 = net.denseblock3(net.transition2(f8))
    return [f2, f4, f8, f16, torch.relu(net.norm5(net.denseblock4(net.transition3(f16))))]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_encoder_maps_equal_those_of_torchvision(backbone: str) -> None:
    encoder = build_encoder(backbone).eval()
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        ours = encoder(images)
        theirs = torchvision_maps(backbone, encoder.state_dict(), images)
    for mine, their in zip(ours, theirs, strict=True):
        assert torch.equal(mine, their)
        assert mine.abs().max() > 0


STAGES = {
    "resnet18": {2: "layer4", 3: "layer3"},
    "shufflenet_v2": {2: "stage4", 3: "stage3"},
    "densenet121": {2: "denseblock4", 3: "denseblock3"},
    "resnet50": {2: "layer4", 3: "layer3"},
    "mobilenet_v2": {2: "14 15 16 17", 3: "7 8 9 10 11 12 13"},
}


def geometry(encoder: nn.Module) -> dict[str, tuple[object, ...]]:
    convs = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.Conv2d)}
    return {name: (m.kernel_size, m.stride, m.dilation, m.padding) for name, m in convs.items()}


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_output_stride_dilates_the_last_stages_and_keeps_the_state_dict(
    backbone: str, output_stride: int
) -> None:
    plain, dilated = build_encoder(backbone), build_encoder(backbone, output_stride)
    assert dilated.load_state_dict(plain.state_dict(), strict=True)
    last, before = STAGES[backbone][2], STAGES[backbone][3]
    rates = dict.fromkeys(last.split(), 2 if output_stride == 16 else 4)
    rates |= {} if output_stride == 16 else dict.fromkeys(before.split(), 2)
    ours = geometry(dilated)
    for name, (kernel, stride, dilation, padding) in geometry(plain).items():
        rate = rates.get(name.split(".")[0])
        if rate is None:
            assert ours[name] == (kernel, stride, dilation, padding)
        elif kernel == (3, 3):
            assert ours[name] == (kernel, (1, 1), (rate, rate), (rate, rate))
        else:
            assert ours[name] == (kernel, (1, 1), (1, 1), (0, 0))


def test_dilated_stage_equals_the_strided_stage_on_a_constant_map() -> None:
    """Where all neighbours are equal, neither stride nor dilation can matter; only a lost tap would."""
    for backbone, stage, width in (("resnet18", "layer4", 256), ("shufflenet_v2", "stage4", 232)):
        plain, dilated = build_encoder(backbone).eval(), build_encoder(backbone, 16).eval()
        dilated.load_state_dict(plain.state_dict())
        x = torch.rand(1, width, 1, 1).expand(1, width, 48, 48)
        with torch.inference_mode():
            a, b = plain.get_submodule(stage)(x), dilated.get_submodule(stage)(x)
        assert (a.shape[-1], b.shape[-1]) == (24, 48)
        torch.testing.assert_close(a[..., 12, 12], b[..., 24, 24], rtol=1e-4, atol=1e-5)


def assert_same_encoder(build: Callable[[int], nn.Module], backbone: str) -> None:
    torch.manual_seed(3)
    expected = build_encoder(backbone).state_dict()
    for classes in (1, 5):
        torch.manual_seed(3)
        state = build(classes).get_submodule("encoder").state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_encoder_weights_of_a_seed_are_the_same_under_every_decoder(architecture: str) -> None:
    assert_same_encoder(
        lambda classes: build_segmenter(architecture, "shufflenet_v2", classes), "shufflenet_v2"
    )


@pytest.mark.parametrize("backbone", BACKBONES)
def test_encoder_weights_of_a_seed_are_the_same_under_the_classifier(backbone: str) -> None:
    assert_same_encoder(lambda classes: build_classifier(backbone, classes), backbone)
    torch.manual_seed(3)
    first = next(build_encoder(backbone).parameters())
    assert not torch.equal(first, next(build_encoder(backbone).parameters()))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="backbone: no 'resnet81'; did you mean resnet18"):
        build_encoder("resnet81")
    with pytest.raises(InputError, match="backbone: no 'vgg'; known: resnet18, shufflenet_v2, densenet121, "):
        build_classifier("vgg", 2)
    with pytest.raises(InputError, match="architecture: no 'Unets'; did you mean unet"):
        build_segmenter("Unets", "resnet18", 2)
    with pytest.raises(InputError, match="output_stride: 4; 32, 16 and 8 are accepted"):
        build_encoder("resnet18", 4)


def test_registry_knows_names_without_torch() -> None:
    code = (
        "import sys, medpt.models.registry as r, medpt.models.torchvision_weights as w;"
        "print(*[w.published_name(b) for b in r.BACKBONES], *r.ARCHITECTURES);"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, torch_was_imported = run.stdout.splitlines()
    files = "resnet18-f37072fd.pth shufflenetv2_x1-5666bf0f80.pth densenet121-a639ec97.pth"
    more = "resnet50-0676ba61.pth mobilenet_v2-b0353104.pth"
    assert names == f"{files} {more} unet deeplabv3plus cenet hynet etnet"
    assert torch_was_imported == "False"
    assert tuple(encoders._ENCODERS) == BACKBONES


def test_networks_need_only_torch_torchvision_and_numpy() -> None:
    absent = ("safetensors", "cv2", "pandas", "pyarrow", "sklearn", "scipy", "ray", "mlflow", "pydicom")
    code = (
        f"import sys; [sys.modules.__setitem__(name, None) for name in {absent}];"
        "import torch; from medpt.models.registry import ARCHITECTURES, build_classifier, build_segmenter;"
        "build_classifier('resnet18', 2);"
        "[build_segmenter(a, 'shufflenet_v2', 2) for a in ARCHITECTURES]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
