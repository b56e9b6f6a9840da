"""Sample sizes that the data cannot give are refused together, before anything starts."""

from pathlib import Path

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.planner import build_plan
from grid.plan.sizes import size_problems
from grid.space import load
from medpt.data import open_dataset
from medpt.data.dataset import Dataset
from medpt.phantom import write

SPACE = """
controls: false
experiments:
  - initialization: [random, ISIC2019]
    sample_size: [{sizes}]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    target_size: [{shares}]
    seed: [0]
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """ISIC2019 with 20 images and no test set of its own, DRIVE with 6 training images."""
    folder = tmp_path_factory.mktemp("data")
    write("ISIC2019", folder / "ISIC2019", train=20, size=24)
    write("DRIVE", folder / "DRIVE", train=6, test=2, size=24)
    return {name: open_dataset(name, folder / name) for name in ("ISIC2019", "DRIVE")}


def problems(folder: Path, opened: dict[str, Dataset], sizes: str, shares: str) -> list[str]:
    path = folder / "space.yaml"
    path.write_text(SPACE.format(sizes=sizes, shares=shares))
    space = load(str(path))
    plan = build_plan(space, dict.fromkeys(space_datasets(space), "print"), {})
    return size_problems(plan, opened)


def test_source_may_have_every_image_of_its_files(tmp_path: Path, opened: dict[str, Dataset]) -> None:
    assert problems(tmp_path, opened, "all, 2, 20", "1.0, 0.34") == []


def test_sizes_that_the_data_lack_are_named_together(tmp_path: Path, opened: dict[str, Dataset]) -> None:
    found = problems(tmp_path, opened, "1, 21, 600", "0.1, 0.2")
    assert found == [
        "sample_size 1 of ISIC2019: its files have 20 images to train on; use 2 to 20, or all",
        "sample_size 21 of ISIC2019: its files have 20 images to train on; use 2 to 20, or all",
        "sample_size 600 of ISIC2019: its files have 20 images to train on; use 2 to 20, or all",
        "target_size 0.1 of DRIVE: 1 of its 6 training images; use 0.33 or more",
        "target_size 0.2 of DRIVE: 1 of its 6 training images; use 0.33 or more",
    ]
