"""Published weights as initializations of a space: where they are found, and which trials there are."""

from pathlib import Path

import published
import pytest

from grid.space import reader
from grid.space.trials import Space
from grid.space.weights_folders import describe_weights
from medpt.errors import InputError
from medpt.models.weights_file import read_weights_file

BLOCK = """
experiments:
  - initialization: [random, mine]
    backbone: [shufflenet_v2, resnet18]
    target: DRIVE
    seed: [0]
"""


def load(folder: Path, text: str = BLOCK, data: Path | None = None) -> Space:
    path = folder / "made.yaml"
    path.write_text(text)
    return reader.load(str(path), data=data)


def test_weights_lie_beside_the_space_or_below_the_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    below = published.describe(data, "mine")
    assert load(tmp_path, data=data).settings.weights["mine"].path == str(below)
    beside = published.describe(tmp_path, "mine")
    assert load(tmp_path, data=data).settings.weights["mine"].path == str(beside)


def test_weights_have_trials_on_their_backbone_alone(tmp_path: Path) -> None:
    published.describe(tmp_path, "mine")
    space = load(tmp_path)
    networks = {(trial.label, trial.backbone) for trial in space.trials}
    assert networks == {("random", "shufflenet_v2"), ("random", "resnet18"), ("mine", "shufflenet_v2")}
    assert space.notes == ("mine has weights of shufflenet_v2: no trials on resnet18",)
    (own,) = (trial for trial in space.trials if trial.label == "mine")
    assert (own.sample_size, own.pretrain_seed) == (None, None)


def test_weights_without_their_backbone_are_refused(tmp_path: Path) -> None:
    published.describe(tmp_path, "mine", backbone="densenet121")
    with pytest.raises(InputError, match=r"made.yaml:4: .*densenet121, not of shufflenet_v2, resnet18; add"):
        load(tmp_path)


def test_unknown_names_and_faulty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown initialization `mine`"):
        load(tmp_path)
    published.describe(tmp_path, "mine", licence=None)
    with pytest.raises(InputError, match=r"made.yaml:3: `mine`: .*mine.yaml:1: .*licence"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["random", "ISIC2019", "M3-CLS"])
def test_names_of_other_initializations_are_refused(name: str, tmp_path: Path) -> None:
    published.describe(tmp_path, name)
    with pytest.raises(InputError, match="rename this file"):
        load(tmp_path, BLOCK.replace("random, mine", name))


def test_names_are_no_paths(tmp_path: Path) -> None:
    published.describe(tmp_path, "mine")
    with pytest.raises(InputError, match="unknown initialization"):
        load(tmp_path, BLOCK.replace("mine", "../initializations/mine"))


def test_analyses_take_weights_of_their_backbone(tmp_path: Path) -> None:
    published.describe(tmp_path, "mine")
    text = "analysis:\n  filters: {initialization: [mine], backbone: BACKBONE}\n"
    assert load(tmp_path, text.replace("BACKBONE", "shufflenet_v2")).analyses[0].initializations == (
        ("mine", None),
    )
    with pytest.raises(InputError, match="has weights of shufflenet_v2, not of resnet18"):
        load(tmp_path, text.replace("BACKBONE", "resnet18"))


def test_description_says_what_weights_were_trained_on(tmp_path: Path) -> None:
    path = published.describe(tmp_path, "mine")
    assert describe_weights(read_weights_file(path)) == "mine: shufflenet_v2, trained on RadImageNet; CC0"
    path = published.describe(tmp_path, "mine", trained_on="unknown")
    (path.parent / "mine.pth").unlink()
    text = describe_weights(read_weights_file(path))
    assert text == f"mine: shufflenet_v2, trained on: unknown; CC0; {path.parent / 'mine.pth'} is missing"
