"""The whole command on a tiny grid: what a finished run leaves, and what the same command does then."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import serial
import tiny

from grid import query, results
from grid.cluster.temp_folders import LOCK, PREFIX, TOKEN
from grid.tracking.client import client, default_uri
from grid.tracking.runs import DIGEST


@pytest.fixture(scope="module")
def reference(undisturbed: tiny.Run) -> Path:
    return undisturbed.out


def test_it_prints_the_table_and_where_the_report_is(undisturbed: tiny.Run) -> None:
    assert "mean IoU" in undisturbed.output
    assert str(undisturbed.out / "reports" / "tiny" / "index.html") in undisturbed.output


def test_every_unit_ran_once(reference: Path) -> None:
    assert len(tiny.markers(reference)) == tiny.UNITS
    assert set(tiny.executions(reference).values()) == {1}
    assert not list((reference / "failed").iterdir())
    assert not list((reference / "checkpoints").iterdir())


def test_mlflow_has_one_finished_run_a_unit(reference: Path) -> None:
    runs = tiny.mlflow_runs(reference)
    assert Counter(run.data.tags[DIGEST] for run in runs) == Counter(list(tiny.markers(reference)))
    assert {run.info.status for run in runs} == {"FINISHED"}
    tuned = [run for run in runs if run.data.tags["medpt.kind"] == "finetune"]
    assert {run.data.params["target"] for run in tuned} == {"ChestXRay2017", "DRIVE"}
    assert {run.data.params["backbone"] for run in tuned} == {"shufflenet_v2"}


def test_mlflow_has_every_row_once(reference: Path) -> None:
    connection = client(default_uri(reference))
    for run in tiny.mlflow_runs(reference):
        history = reference / "units" / run.data.tags[DIGEST] / "history.json"
        if history.exists():
            rows = json.loads(history.read_text())
            sent = connection.get_metric_history(run.info.run_id, "train_loss")
            assert [(m.step, m.value) for m in sent] == [(row["step"], row["train_loss"]) for row in rows]


def test_results_have_one_row_a_trial(reference: Path) -> None:
    frame = results.load("tiny", reference)
    assert list(frame["status"].unique()) == ["finished"]
    assert len(frame) == 4
    assert frame["auc"].notna().sum() == 2
    assert frame["miou"].notna().sum() == 2
    values = frame[["auc", "miou"]].stack().dropna()
    assert values.between(0, 1).all()


def test_query_prints_and_writes_csv(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = ["--space", "tiny", "--out", str(reference), "--metric", "miou", "--by", "initialization"]
    assert query.main([*fixed, "--where", "target=DRIVE", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "initialization,metric,mean,std,low,high,n,planned,repeated"
    assert [line.split(",")[0] for line in lines[1:]] == ["random", "ISIC2019"]
    assert query.main([*fixed, "--where", "target=DRYVE"]) == 2
    assert "did you mean DRIVE" in capsys.readouterr().err


def test_what_a_killed_driver_left_goes_though_nothing_is_left_to_do(
    undisturbed: tiny.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the last unit's marker: Ray's agents live on, and no later command starts Ray.

    The data lie in another folder now, which changes nothing.
    """
    out, moved = tmp_path / "out", tmp_path / "moved"
    shutil.copytree(undisturbed.out, out)
    shutil.copytree(undisturbed.data, moved)
    abandoned = tmp_path / "temporary" / f"{PREFIX}dead"
    abandoned.mkdir(mode=0o700, parents=True)
    (abandoned / LOCK).write_text("a" * 32)
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    agent = subprocess.Popen(sleeps, env=os.environ | {TOKEN: "a" * 32})
    monkeypatch.setenv("TMPDIR", str(abandoned.parent))
    try:
        assert "nothing is left to do" in tiny.run(undisturbed.space, moved, out)
        assert agent.wait(10) == -signal.SIGKILL
    finally:
        agent.kill()
    assert not abandoned.exists()
    assert set(tiny.executions(out).values()) == {1}
    assert tiny.numbers(out) == tiny.numbers(undisturbed.out)


def test_another_space_runs_only_what_no_space_has_run(undisturbed: tiny.Run, tmp_path: Path) -> None:
    """Two seeds, of which one is finished; the second space shares its prepared data and pre-training."""
    out = Path(shutil.copytree(undisturbed.out, tmp_path / "out"))
    text = tiny.SPACE.replace("[random, ISIC2019]", "[ISIC2019]").replace("seed: [0]", "seed: [0, 5]")
    serial.run(tiny.written(tmp_path, text, "other"), undisturbed.data, out)
    kinds = Counter(marker["kind"] for marker in tiny.markers(out).values())
    assert kinds == {"prepare": 3, "pretrain": 1, "finetune": 6}
    assert set(tiny.executions(out).values()) == {1}
