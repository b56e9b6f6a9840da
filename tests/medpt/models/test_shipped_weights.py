"""The descriptions in medpt/models/published are valid, and fit the layouts of the publishers."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from medpt.errors import InputError
from medpt.models import torchvision_weights
from medpt.models.foreign_encoder import map_encoder
from medpt.models.weights_file import NO_DIGITS, WeightsFile, read_weights_file

FOLDER = Path(__file__).parents[3] / "medpt" / "models" / "published"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def completed(name: str, folder: Path) -> WeightsFile:
    """The description, with made-up digits where it leaves them to the user."""
    copy = folder / f"{name}.yaml"
    text = (FOLDER / f"{name}.yaml").read_text()
    copy.write_text(text if "\nsha256:" in text else f"{text}sha256: {'ab' * 32}\n")
    return read_weights_file(copy)


@pytest.mark.parametrize("name", NAMES)
def test_descriptions_are_valid_and_lack_at_most_the_digits(name: str, tmp_path: Path) -> None:
    assert completed(name, tmp_path).name == name
    text = (FOLDER / f"{name}.yaml").read_text()
    if "\nsha256:" in text:
        assert read_weights_file(FOLDER / f"{name}.yaml").url or "Checked:" in text
    else:
        assert "ot checked here" in text
        with pytest.raises(InputError) as caught:
            read_weights_file(FOLDER / f"{name}.yaml")
        (problem,) = caught.value.problems
        assert problem.endswith(NO_DIGITS)


def densenet() -> dict[str, Tensor]:
    return torchvision.models.densenet121().features.state_dict(prefix="features.")


def xrv_densenet() -> dict[str, Tensor]:
    network = torchvision.models.densenet121(num_classes=18)
    network.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return network.features.state_dict(prefix="features.") | {"op_threshs": torch.zeros(18)}


def radimagenet(network: nn.Module, layers: int) -> dict[str, Tensor]:
    return nn.Sequential(*list(network.children())[:layers]).state_dict(prefix="backbone.")


def dinov2() -> dict[str, Tensor]:
    network = timm.create_model("vit_small_patch14_dinov2", num_classes=0)
    return network.state_dict() | {"mask_token": torch.zeros(1, 384)}


LAYOUTS: dict[str, Callable[[], dict[str, Tensor]]] = {
    "torchvision-resnet18": lambda: torchvision.models.resnet18().state_dict(),
    "torchvision-resnet50-v1": lambda: torchvision.models.resnet50().state_dict(),
    "torchvision-densenet121": densenet,
    "torchvision-mobilenet-v2-v1": lambda: torchvision.models.mobilenet_v2().state_dict(),
    "torchvision-shufflenet-v2": lambda: torchvision.models.shufflenet_v2_x1_0().state_dict(),
    "radimagenet-resnet50": lambda: radimagenet(torchvision.models.resnet50(), 9),
    "radimagenet-densenet121": lambda: radimagenet(torchvision.models.densenet121(), 1),
    "torchxrayvision-densenet121": xrv_densenet,
    "dino-vit-small": lambda: timm.create_model("vit_small_patch16_224", num_classes=0).state_dict(),
    "dinov2-vit-small": dinov2,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_mappings_fit_the_layout_of_the_publisher(name: str, tmp_path: Path) -> None:
    weights = completed(name, tmp_path)
    assert map_encoder(weights.backbone, LAYOUTS[name](), weights.mapping, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("torchvision-")])
def test_torchvision_descriptions_agree_with_torchvision(name: str, tmp_path: Path) -> None:
    """The file is one that torchvision lists, and is mapped as `imagenet*` maps that of the same backbone."""
    weights = completed(name, tmp_path)
    model, _, mapping = torchvision_weights._PUBLISHED[weights.backbone]
    assert weights.url in {each.url for each in torchvision.models.get_model_weights(model)}
    assert weights.mapping == mapping
