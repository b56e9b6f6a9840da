"""A run whose networks are also tested on another dataset, on corrupted copies, and by subgroup."""

from pathlib import Path

import numpy as np
import pytest
import serial
import tiny
import trackers
import user_data
from sklearn.metrics import roc_auc_score

from grid import results
from grid.query import QueryOptions, answer
from grid.results.test_sets import other_test_sets
from grid.store.store import Store
from grid.tracking.client import default_uri
from grid.tracking.runs import DIGEST
from medpt import phantom
from medpt.errors import InputError

SPACE = """
title: other hospitals
size: 32
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
controls: false
datasets:
  DRIVE: {test_also: [HRF], corruptions: [blur]}
  Clinic: {subgroup: sex, corruptions: [noise]}
experiments:
  - {initialization: [random], backbone: [shufflenet_v2], target: [DRIVE, Clinic], seed: [0, 1]}
"""
TESTED = ("HRF", "blur-1", "blur-2", "blur-3")
FACTS = user_data.CLASSIFIED


def clinic(folder: Path) -> None:
    """Forty images; among the test images all three of unknown sex are healthy."""
    rows = ["image,label,split,sex"]
    for number in range(40):
        tested, ill = number < 16, number % 2 and number not in (13, 15)
        sex = "" if number in (13, 14, 15) else "FM"[number // 2 % 2]
        rows.append(f"{number},{'glaucoma' if ill else 'healthy'},{'test' if tested else 'train'},{sex}")
        pixels = np.random.default_rng(number).integers(0, 200, (40, 40, 3), dtype=np.uint8)
        user_data.write_picture(folder / "images" / f"{number}.png", pixels + np.uint8(40 * bool(ill)))
    user_data.write_card(folder, FACTS, "\n".join(rows))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom.write("DRIVE", folder / "DRIVE", train=6, test=4, size=48)
    phantom.write("HRF", folder / "HRF", train=5, size=48)
    clinic(folder / "Clinic")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> tiny.Run:
    folder = tmp_path_factory.mktemp("tests")
    space, out = tiny.written(folder, SPACE, "others"), folder / "out"
    return tiny.Run(data, space, out, serial.run(space, data, out))


def test_frame_has_columns_of_each_test_set(run: tiny.Run) -> None:
    frame = results.load("others", run.out)
    assert len(frame) == 4
    noise = [f"noise-{strength}" for strength in (1, 2, 3)]
    assert sorted(other_test_sets(frame)) == sorted([*TESTED, *noise, "sex=F", "sex=M", "sex=unknown"])
    drive = frame[frame["target"] == "DRIVE"]
    for name in TESTED:
        assert (drive[f"status@{name}"] == "finished").all()
        assert drive[f"miou@{name}"].between(0, 1).all()
    assert drive["status@sex=F"].isna().all()


def test_subgroups_have_the_metrics_of_their_items(run: tiny.Run) -> None:
    """Compared with scikit-learn on the images that the table names, row by row."""
    frame = results.load("others", run.out)
    rows = (run.data / "Clinic" / "labels.csv").read_text().splitlines()[1:]
    known = {f"images/{name}.png": (label, sex) for name, label, _, sex in (row.split(",") for row in rows)}
    for trial in frame[frame["target"] == "Clinic"].to_dict("records"):
        stored = np.load(Path(trial["items"]).parent / "scores.npz")
        for sex, group in (("F", "sex=F"), ("M", "sex=M")):
            chosen = [place for place, name in enumerate(stored["ids"]) if known[name][1] == sex]
            truth = np.array([known[stored["ids"][place]][0] == "glaucoma" for place in chosen])
            ill, well = (roc_auc_score(truth == side, stored["scores"][chosen, side]) for side in (1, 0))
            assert trial[f"macro_auc@{group}"] == pytest.approx((ill + well) / 2)
        assert np.isnan(trial["macro_auc@sex=unknown"])


def test_query_answers_on_one_test_set(run: tiny.Run) -> None:
    frame = results.on_test_set(results.load("others", run.out), "HRF")
    table = answer(frame, QueryOptions("others", test_set="HRF"))
    assert table["target"].tolist() == ["DRIVE (tested on HRF)"]
    assert table["n"].tolist() == [2]
    assert (table["low"] < table["mean"]).all()
    assert table["mean"].item() == pytest.approx(100 * frame["miou"].mean())


def test_metric_of_another_test_set_is_asked_on_its_own_frame(run: tiny.Run) -> None:
    with pytest.raises(InputError, match="use --metric miou --test-set HRF"):
        results.cells(results.load("others", run.out), "miou@HRF")


def test_undefined_metric_of_a_subgroup_is_named(run: tiny.Run) -> None:
    frame = results.on_test_set(results.load("others", run.out), "sex=unknown")
    (cell,) = results.find_cells(frame)
    assert cell.word == "undef"


def test_outcome_names_the_test_sets(run: tiny.Run) -> None:
    assert "HRF" in run.output
    (line,) = [line for line in run.output.splitlines() if line.startswith("sex=unknown")]
    assert line.split() == ["sex=unknown", "3", "undef", "(0", "of", "2)"]
    page = (run.out / "reports" / "others" / "index.html").read_text()
    assert 'id="test-sets"' in page
    rows = (run.out / "reports" / "others" / "test_sets.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 + 4 + 3 + 3


def test_mlflow_has_a_run_of_each_test_and_the_scores_of_subgroups(run: tiny.Run) -> None:
    frame, (_, runs) = results.load("others", run.out), trackers.runs(default_uri(run.out))
    by_digest = {one.data.tags[DIGEST]: one.data for one in runs}
    drive, clinic = (frame[frame["target"] == name].iloc[0] for name in ("DRIVE", "Clinic"))
    tested = [data for data in by_digest.values() if data.params.get("test_set") == "HRF"]
    scores = {data.params["seed"]: data.metrics["test_miou"] for data in tested}
    assert scores[str(drive["seed"])] == pytest.approx(drive["miou@HRF"])
    assert {data.params["dataset"] for data in tested} == {"HRF"}
    assert {data.params["target"] for data in tested} == {"DRIVE"}
    recorded = by_digest[clinic["digest"]].metrics
    assert recorded["test_macro_auc/sex/F"] == pytest.approx(clinic["macro_auc@sex=F"])
    assert recorded["test_macro_auc"] == pytest.approx(clinic["macro_auc"])


def test_added_test_set_repeats_nothing(run: tiny.Run, tmp_path: Path) -> None:
    more = tiny.written(tmp_path, SPACE.replace("[blur]", "[blur, contrast]"), "others")
    finished = Store(run.out).finished()
    printed = serial.run(more, run.data, run.out)
    assert f"{len(finished)} finished, 6 to run" in printed


UNKEPT = """
title: a network that was not kept
size: 32
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 2}
controls: false
experiments:
  - {initialization: [random], backbone: [shufflenet_v2], target: [DRIVE], seed: [0]}
"""


def test_unkept_network_fails_by_name_until_it_is_run_again(data: Path, tmp_path: Path) -> None:
    out, space = tmp_path / "out", tiny.written(tmp_path, "keep: none" + UNKEPT, "unkept")
    serial.run(space, data, out)
    more = UNKEPT.replace("[0]", "[0, 1]")
    tiny.written(tmp_path, f"datasets: {{DRIVE: {{test_also: [HRF]}}}}{more}", "unkept")
    printed = " ".join(serial.run(space, data, out, code=1).split())
    assert "failed: random → DRIVE · unet/shufflenet_v2 · 0 tested on HRF: " in printed
    assert "its weights were not kept; run its space with --keep-missing" in printed
    states = results.load("unkept", out).set_index("seed")["status@HRF"]
    assert states.to_dict() == {0: "failed", 1: "finished"}
    serial.run(space, data, out, "--keep-missing")
    assert (results.load("unkept", out)["status@HRF"] == "finished").all()
