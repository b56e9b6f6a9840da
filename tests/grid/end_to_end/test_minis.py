"""Every table and figure of the paper that trains on images, each row for two steps, in one store."""

from pathlib import Path

import pytest
import tiny

from grid import results
from grid.claims.published import cells, key_of_trial
from grid.space import reader
from medpt.models.torchvision_weights import published_name

MINIS = ["table2-mini", "table3-mini", "fig3-mini", "fig4-mini", "fig5-mini", "fig7-mini"]


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's file of ResNet-18 with random numbers in it: there is no network here."""
    import torch
    from torchvision.models import resnet18

    folder = tmp_path_factory.mktemp("imagenet")
    torch.save(resnet18().state_dict(), folder / published_name("resnet18"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_row_runs(tmp_path: Path, imagenet: Path) -> None:
    """One plan of all, so that what they share runs once and Ray starts once."""
    phantom = "phantom: {seed: 0, train: 10, test: 2}"
    together = tiny.written(
        tmp_path, f"title: all minis\n{phantom}\ninclude: [{', '.join(MINIS)}]\n", "minis"
    )
    tiny.run(together, None, tmp_path / "out", "--imagenet-weights", str(imagenet), seconds=3600)
    frame = results.load("minis", tmp_path / "out")
    assert set(frame["status"]) == {"finished"}
    assert len(frame) == sum(len(reader.load(name).trials) for name in MINIS)
    assert (frame["auc"].notna() | frame["miou"].notna()).all()


@pytest.mark.parametrize(("name", "count"), [("table2", 72), ("table3", 84)])
def test_mini_has_the_rows_of_the_paper(name: str, count: int) -> None:
    printed = {cell for cell, (table, _, _) in cells().items() if table == name}
    assert len(printed) == count
    assert printed == {key_of_trial(trial) for trial in reader.load(name).trials}
    smaller = set(map(key_of_trial, reader.load(f"{name}-mini").trials))
    assert smaller == {(model, source.removesuffix("-20k"), target) for model, source, target in printed}
