"""The whole command on a tiny grid: finished once, resumed, extended, killed, and refused."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import tiny

from grid import query, results
from grid import run as command
from grid.cluster.temp_folders import LOCK, PREFIX, TOKEN
from grid.tracking.client import client, default_uri
from grid.tracking.runs import DIGEST


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def data(undisturbed: tiny.Run) -> Path:
    return undisturbed.data


@pytest.fixture(scope="module")
def space(undisturbed: tiny.Run) -> Path:
    return undisturbed.space


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
    assert lines[0] == "initialization,metric,mean,std,low,high,n,planned"
    assert [line.split(",")[0] for line in lines[1:]] == ["random", "ISIC2019"]
    assert query.main([*fixed, "--where", "target=DRYVE"]) == 2
    assert "did you mean DRIVE" in capsys.readouterr().err


def test_again_there_is_nothing_to_do(reference: Path, data: Path, space: Path) -> None:
    before = tiny.numbers(reference)
    output = tiny.run(space, data, reference)
    assert "nothing is left to do" in output
    assert set(tiny.executions(reference).values()) == {1}
    assert tiny.numbers(reference) == before


def test_what_a_killed_driver_left_goes_though_nothing_is_left_to_do(
    folder: Path, reference: Path, data: Path, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the last unit's marker: Ray's agents live on, and no later command starts Ray."""
    abandoned = folder / "temporary" / f"{PREFIX}dead"
    abandoned.parent.mkdir()
    abandoned.mkdir(mode=0o700)
    (abandoned / LOCK).write_text("a" * 32)
    sleeps = [sys.executable, "-c", "import time; time.sleep(600)"]
    agent = subprocess.Popen(sleeps, env=os.environ | {TOKEN: "a" * 32})
    monkeypatch.setenv("TMPDIR", str(abandoned.parent))
    try:
        assert "nothing is left to do" in tiny.run(space, data, reference)
        assert agent.wait(10) == -signal.SIGKILL
    finally:
        agent.kill()
    assert not abandoned.exists()


def test_one_more_seed_runs_only_what_is_new(folder: Path, reference: Path, data: Path) -> None:
    out = copied(reference, folder / "extended")
    more = tiny.written(folder, tiny.SPACE.replace("seed: [0]", "seed: [0, 1]"), "more")
    tiny.run(more, data, out)
    assert len(tiny.markers(out)) == tiny.UNITS + 4
    assert set(tiny.executions(out).values()) == {1}


def test_the_same_numbers_again(folder: Path, reference: Path, data: Path, space: Path) -> None:
    """Another run, on one CPU in place of two: bit for bit the same, weights included."""
    out = folder / "again"
    tiny.run(space, data, out, "--cpus", "1")
    assert tiny.numbers(out) == tiny.numbers(reference)
    assert tiny.weights(out) == tiny.weights(reference)


def test_data_may_move(folder: Path, reference: Path, data: Path, space: Path) -> None:
    moved = folder / "moved" / "elsewhere"
    shutil.copytree(data, moved)
    out = copied(reference, folder / "moved-out")
    assert "nothing is left to do" in tiny.run(space, moved.parent, out)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.fault)])
def test_killed_drivers_lose_and_repeat_nothing(
    folder: Path, reference: Path, data: Path, space: Path, seed: int
) -> None:
    out, rng, kills = folder / f"killed-{seed}", random.Random(seed), 0
    while len(tiny.markers(out) if (out / "done").exists() else {}) < tiny.UNITS and kills < 4:
        process = tiny.start(space, data, out)
        wait_for_change(out, process)
        time.sleep(rng.uniform(0, 3))
        process.kill()
        process.wait()
        kills += 1
    tiny.run(space, data, out)
    assert_equal_runs(out, reference, kills)


@pytest.mark.fault
def test_a_killed_trial_goes_on_from_its_checkpoint(
    folder: Path, reference: Path, data: Path, space: Path
) -> None:
    out, kills = folder / "trial-killed", 0
    process = tiny.start(space, data, out)
    while process.poll() is None and kills < 3:
        victims = [child for child in children(process) if "ImplicitFunc" in words(child)]
        if victims and list((out / "checkpoints").glob("*/*.safetensors")):
            victims[0].kill()
            kills += 1
            time.sleep(2)
        time.sleep(0.2)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert kills
    assert_equal_runs(out, reference, kills)


def test_interrupted_run_exits_130_or_143_and_says_how_to_resume(
    folder: Path, data: Path, space: Path
) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = folder / f"interrupted-{code}"
        process = tiny.start(space, data, out)
        wait_for_change(out, process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == code, output
        assert output.count("run the same command to resume") == 1
        assert "Traceback" not in output
        time.sleep(1)
        assert not sessions(process.pid)


def test_refusals(folder: Path, data: Path, space: Path) -> None:
    out = folder / "refused"
    bad = shutil.copytree(data, folder / "bad")
    table = next((bad / "ISIC2019").rglob("*GroundTruth.csv"))
    table.write_text(table.read_text().replace("MEL", "MOLE"))
    shutil.rmtree(bad / "DRIVE")
    output = tiny.run(space, bad, out, code=2)
    assert "MEL" in output
    assert table.name in output
    assert "DRIVE" in output
    assert "Traceback" not in output
    assert not list((out / "done").iterdir())
    assert "--data DIR" in tiny.run(space, None, out, code=2)


@pytest.mark.parametrize("limit", ["0", "-1", "two"])
def test_a_limit_that_leaves_nothing_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--space", "demo", "--limit", limit])
    assert ended.value.code == 2
    assert f"--limit: `{limit}`: 1 or more is accepted" in capsys.readouterr().err


@pytest.mark.parametrize("uri", ["foo://bar", "file:///records", "mlruns", "sqlite://records", "http:/host"])
@pytest.mark.parametrize("asks", [command, query])
def test_a_tracker_of_another_kind_is_refused(
    asks: ModuleType, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        asks.main(["--space", "demo", "--tracking-uri", uri])
    assert ended.value.code == 2
    assert f"--tracking-uri: `{uri}`: http(s)://" in capsys.readouterr().err


def test_one_missing_folder_of_all_data_is_one_problem(folder: Path, space: Path) -> None:
    nowhere = folder / "nowhere"
    output = tiny.run(space, nowhere, folder / "refused", code=2)
    assert output.count(f"{nowhere}: no such folder") == 1


def test_a_truncated_image_fails_what_needs_it(folder: Path, data: Path, space: Path) -> None:
    broken = shutil.copytree(data, folder / "broken")
    image = sorted((broken / "ISIC2019" / "ISIC_2019_Training_Input").glob("ISIC*.jpg"))[3]
    image.write_bytes(image.read_bytes()[:200])
    out = folder / "broken-out"
    output = tiny.run(space, broken, out, code=1)
    assert image.name in output
    assert "Traceback" not in output
    assert len(tiny.markers(out)) == 2 + 2
    frame = results.load("tiny", out)
    assert sorted(frame["status"]) == ["finished", "finished", "missing", "missing"]


def test_damaged_results_are_made_again(folder: Path, reference: Path, data: Path, space: Path) -> None:
    out = copied(reference, folder / "damaged")
    by_kind = {(m["kind"], m["label"]): name for name, m in tiny.markers(out).items()}
    chest = by_kind["prepare", "ChestXRay2017"]
    source = next(name for (kind, _), name in by_kind.items() if kind == "pretrain")
    shutil.rmtree(out / "cache")
    shard = next((out / "units" / chest).glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    network = out / "units" / source / "best.safetensors"
    network.write_bytes(network.read_bytes()[:1000])
    for (kind, _), name in by_kind.items():
        if kind == "finetune":
            (out / "done" / f"{name}.json").unlink()
    output = tiny.run(space, data, out)
    assert shard.name in output
    assert network.name in output
    assert tiny.numbers(out) == tiny.numbers(reference)


def test_a_diverging_unit_fails_once_and_the_rest_goes_on(folder: Path, data: Path) -> None:
    text = tiny.SPACE.replace("finetune: {", "finetune: {learning_rate: 9, ")
    space, out = tiny.written(folder, text, "diverging"), folder / "diverging"
    output = tiny.run(space, data, out, code=1)
    assert "step" in output
    frame = results.load("diverging", out)
    failed = set(frame.loc[frame["status"] == "failed", "digest"])
    assert failed
    again = tiny.run(space, data, out, code=1)
    assert "nothing is left to do" in again
    assert all(tiny.executions(out)[name] == 1 for name in failed)


def test_two_spaces_share_a_pretraining(folder: Path, reference: Path, data: Path) -> None:
    out = copied(reference, folder / "shared")
    text = tiny.SPACE.replace("[random, ISIC2019]", "[ISIC2019]").replace("seed: [0]", "seed: [5]")
    tiny.run(tiny.written(folder, text, "other"), data, out)
    kinds = Counter(marker["kind"] for marker in tiny.markers(out).values())
    assert kinds == {"prepare": 3, "pretrain": 1, "finetune": 6}
    assert set(tiny.executions(out).values()) == {1}


def test_run_without_its_tracker_exits_1_and_loses_nothing(
    folder: Path, data: Path, space: Path, reference: Path
) -> None:
    out = copied(reference, folder / "away")
    output = tiny.run(space, data, out, "--tracking-uri", "http://127.0.0.1:9", "--limit", "1", code=1)
    assert "runs are not in http://127.0.0.1:9 yet" in output


def copied(out: Path, to: Path) -> Path:
    return Path(shutil.copytree(out, to))


def wait_for_change(out: Path, process: "subprocess.Popen[str]") -> None:
    """Until the run has published something new, or has ended."""

    def state() -> int:
        return sum(1 for _ in out.rglob("*.safetensors")) + sum(1 for _ in out.rglob("*.json"))

    before = state()
    while process.poll() is None and state() == before:
        time.sleep(0.1)


def assert_equal_runs(out: Path, reference: Path, kills: int) -> None:
    assert tiny.numbers(out) == tiny.numbers(reference)
    assert tiny.weights(out) == tiny.weights(reference)
    extra = {name: count - 1 for name, count in tiny.executions(out).items()}
    assert all(0 <= more <= kills for more in extra.values())
    runs = tiny.mlflow_runs(out)
    assert Counter(run.data.tags[DIGEST] for run in runs) == Counter(list(tiny.markers(out)))
    assert {run.info.status for run in runs} == {"FINISHED"}


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if child.is_running()]


def words(process: psutil.Process) -> str:
    """Its command, or nothing where it has just gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def sessions(group: int) -> list[int]:
    """Processes that still belong to the session of a run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return found
