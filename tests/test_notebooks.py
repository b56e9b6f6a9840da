"""The notebook of the documentation: it runs on a small space and answers what the library answers."""

import json
import runpy
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
import serial
import tiny

from grid import results
from grid.results.frame import read_plan, trials_frame
from grid.store.store import Store
from grid.tracking.client import default_uri
from medpt import phantom

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "ablations.ipynb"
SPACE = """
title: samples of a source, two targets
metrics: paper
size: 32
pretrain: {min_steps: 0, max_steps: 4, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
controls: false
experiments:
  - initialization: [random, ISIC2019]
    sample_size: [16, 32]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017, OCT2017]
    seed: [0, 1]
"""


def code_cells() -> list[dict[str, Any]]:
    found = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the space that lost one of its results."""
    folder = tmp_path_factory.mktemp("notebook")
    data, space = tiny.data(folder / "data"), tiny.written(folder, SPACE, "ablations")
    phantom.write("OCT2017", data / "OCT2017", train=24, test=16, size=48)
    serial.run(space, data, folder / "out")
    lost = results.load("ablations", folder / "out").query("initialization == 'random'").iloc[0]
    (Store(folder / "out").root / "done" / f"{lost['digest']}.json").unlink()
    serial.run(space, data, folder / "out", "--flush")
    return folder / "out"


def stored(out: Path) -> pd.DataFrame:
    """The frame of the store alone: MLflow still has the result that it lost."""
    return trials_frame(read_plan("ablations", out), None, Store(out))


@pytest.fixture(scope="module")
def answers(out: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The variables of the notebook after its last cell."""
    script = tmp_path_factory.mktemp("script") / "ablations.py"
    script.write_text("\n\n".join("".join(cell["source"]) for cell in code_cells()))
    matplotlib.use("agg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", default_uri(out))
        patch.setenv("SPACE", "ablations")
        return runpy.run_path(str(script))


def test_best_initialization_has_the_highest_mean_of_its_target(answers: dict[str, Any], out: Path) -> None:
    cells = results.cells(stored(out))
    expected = cells.sort_values("mean").groupby("target").tail(1).set_index("target")
    found = answers["best"].set_index("target")
    assert found["initialization"].to_dict() == expected["initialization"].to_dict()
    for column, name in (("score", "mean"), ("score_low", "low"), ("score_high", "high")):
        assert found[column].to_dict() == pytest.approx(expected[name].to_dict())
    assert len(answers["groups"]) == 2


def test_gains_are_those_of_compare(answers: dict[str, Any], out: Path) -> None:
    keys = ["target", "initialization"]
    expected = results.compare(stored(out)).set_index(keys)
    found = answers["gains"].set_index(keys)
    for column, name in (("gain", "difference"), ("gain_low", "low"), ("gain_high", "high")):
        assert found[column].to_dict() == pytest.approx(expected[name].to_dict())


def test_sizes_of_a_source_are_columns(answers: dict[str, Any]) -> None:
    assert list(answers["sizes"].columns) == [16, 32]
    assert answers["sizes"].notna().all(axis=None)
    assert len(answers["sizes"]) == 2


def test_cost_of_a_result_has_its_share_of_the_pretraining(answers: dict[str, Any], out: Path) -> None:
    store = Store(out)
    markers = [store.marker(digest) for digest in store.finished()]
    spent = sum(marker.seconds for marker in markers if marker.kind == "pretrain")
    assert answers["cost"]["pre-training"].sum() == pytest.approx(spent)
    assert (answers["costs"]["pre-training"] > 0).to_dict() == {
        "random": False,
        "ISIC2019-16": True,
        "ISIC2019-32": True,
    }


def test_cell_that_lost_a_result_is_the_one_that_lacks_runs(answers: dict[str, Any]) -> None:
    found = answers["lacking"][["target", "initialization", "runs", "planned"]].values.tolist()
    assert found == [["ChestXRay2017", "random", 1, 2]]


def test_notebook_is_committed_with_the_outputs_of_every_cell() -> None:
    assert [cell["execution_count"] for cell in code_cells()] == list(range(1, len(code_cells()) + 1))
    assert all(cell["outputs"] for cell in code_cells())
    assert not any(output["output_type"] == "error" for cell in code_cells() for output in cell["outputs"])
