"""Which initializations a comparison takes, and what it says of those that it does not."""

from pathlib import Path

import published
import pytest
from user_data import CLASSIFIED, write_card, write_picture

from grid.compare import sources
from grid.compare.sources import Source, sources_at_hand
from medpt.data.catalog import card
from medpt.errors import InputError
from medpt.models.torchvision_weights import published_name

TARGET = card("ISIC2019")


@pytest.fixture(autouse=True)
def no_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def find(data: Path | None, *wanted: str, weights: Path | None = None) -> tuple[list[Source], list[str]]:
    return sources.find_sources(wanted, TARGET, data, weights, "resnet18")


def named(found: list[Source]) -> list[str]:
    return [source.name for source in found]


def with_data(folder: Path) -> Path:
    for name in ("EyePACS", "ChestXRay2017"):
        (folder / name).mkdir(parents=True)
    home = write_card(
        folder / "moles", CLASSIFIED | {"name": "Moles", "modality": "dermoscopy"}, "image,label\na,healthy"
    )
    write_picture(home / "images" / "a.png")
    return folder


def test_nothing_at_hand_leaves_random_weights_and_the_images_themselves() -> None:
    found, notes = find(None)
    assert named(found) == ["random", "SS-Jigsaw"]
    assert "no resnet18-f37072fd.pth in" in notes[0]
    assert "random,imagenet*" in notes[0]


def test_weights_on_this_machine_and_data_of_the_modality_are_taken(tmp_path: Path) -> None:
    (tmp_path / published_name("resnet18")).write_bytes(b"weights")
    found, notes = find(with_data(tmp_path / "data"), weights=tmp_path)
    assert named(found) == ["random", "imagenet*", "Moles"]
    assert str(tmp_path / published_name("resnet18")) in found[1].reason
    assert "EyePACS" in notes[0]
    assert "ChestXRay2017" in notes[0]
    assert [source.is_trained_here for source in found] == [False, False, True]


def test_weights_that_a_file_describes_are_taken_if_they_fit_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    published.describe(tmp_path, "mine", backbone="resnet18")
    published.describe(tmp_path, "other", backbone="shufflenet_v2")
    found, _ = find(None)
    assert named(found) == ["random", "mine"]
    assert not found[1].is_trained_here
    assert "RadImageNet" in found[1].reason
    assert named(find(None, "mine")[0]) == ["random", "mine"]
    with pytest.raises(InputError, match="other has a shufflenet_v2; `compare` starts with resnet18"):
        find(None, "other")


def test_downloaded_weights_that_a_description_names_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth").write_bytes(b"weights")
    (tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth").write_bytes(b"weights")
    found, notes = sources_at_hand(None, None, "resnet50")
    assert named(found) == ["random", "imagenet*", "torchvision-resnet50-v2"]  # version 1 is imagenet*
    assert notes == []
    assert named(sources_at_hand(None, None, "timm/vit_small_patch16_224")[0]) == ["random"]


def test_named_sources_are_taken_with_random_weights(tmp_path: Path) -> None:
    found, notes = find(with_data(tmp_path), "eyepacs", "SS-Context", "imagenet*", "EyePACS-1k")
    assert named(found) == ["random", "EyePACS", "SS-Context", "imagenet*", "EyePACS-1k"]
    assert notes == []
    assert found[1].datasets == ("EyePACS",)


def test_all_problems_of_named_sources_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        find(with_data(tmp_path), "EyePAX", "MURA", "imagenet")
    assert len(caught.value.problems) == 3
    assert "EyePACS" in caught.value.problems[0]
    assert "no folder of MURA below --data" in caught.value.problems[1]
    assert "`ImageNet` is pre-trained here, `imagenet*` are published weights" in caught.value.problems[2]
