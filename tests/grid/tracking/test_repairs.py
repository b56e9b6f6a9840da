"""Records of MLflow that need a repair are named, and results are shown; artifacts of moved results."""

import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import made_space
import pytest
import tiny
from trackers import assert_complete, runs

from grid import run
from grid.cluster.process_exit import EXIT_CODES
from grid.plan import datasets
from grid.plan.planner import build_plan
from grid.space import reader
from grid.store.store import Store
from grid.tracking import background
from grid.tracking.client import client, default_uri, repair_needed, sqlite_file
from grid.tracking.names import experiment_name
from grid.tracking.parents import Parents

SPACE = """
title: one target
size: 32
phantom: {train: 8, test: 4, size: 40}
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
experiments:
  - initialization: [random]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
"""
CELL = "70.65 ± 0.92"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space whose units are all finished and recorded."""
    folder = tmp_path_factory.mktemp("repairs")
    loaded = reader.load(str(tiny.written(folder, SPACE)))
    found = datasets.find(loaded, None, folder / "out", write=True)
    plan = build_plan(loaded, found.fingerprints, {})
    store = made_space.publish(plan, folder / "out", set(), {})
    made_space.record_all(store, plan)
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(background, "PATIENCE", 3.0)
    shutil.copytree(recorded, tmp_path / "copy")
    kept = {number: signal.getsignal(number) for number in EXIT_CODES}
    yield tmp_path / "copy"
    for number, handler in kept.items():
        signal.signal(number, handler)


def rerun(folder: Path, out: str = "out") -> int:
    return run.main(["--space", str(folder / "tiny.yaml"), "--out", str(folder / out)])


def repair(folder: Path, out: str = "out") -> None:
    """Run again and expect a complete record, on a busy machine too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "PATIENCE", 60.0)
        assert rerun(folder, out) == 0


def lose_pages(path: Path) -> None:
    content = path.read_bytes()
    size = len(content) // 4096
    start, stop = 4096 * (size // 8), 4096 * (size // 8 + size // 2)
    path.write_bytes(content[:start] + b"\xa5" * (stop - start) + content[stop:])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_text("this is no database, and long enough to be looked at as one")


@pytest.mark.parametrize("damage", [lose_pages, truncate, overwrite])
def test_damaged_database_is_named_and_results_are_shown(
    folder: Path, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    path = sqlite_file(default_uri(folder / "out"))
    damage(path)
    assert rerun(folder) == 1
    printed = "".join(capfd.readouterr())
    assert CELL in printed
    assert f"the database {path} is damaged" in printed
    assert "Move it away" in printed
    assert f"report: {folder / 'out'}" in printed
    path.unlink()
    repair(folder)
    assert_complete(default_uri(folder / "out"), Store(folder / "out"))


def test_deleted_experiment_is_named_until_it_is_restored(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = client(default_uri(folder / "out"))
    number = connection.get_experiment_by_name(experiment_name("tiny")).experiment_id
    connection.delete_experiment(number)
    assert rerun(folder) == 1
    printed = "".join(capfd.readouterr())
    assert CELL in printed
    assert f"the experiment `{experiment_name('tiny')}` was deleted in MLflow" in printed
    assert f"mlflow experiments restore --experiment-id {number}" in printed
    connection.restore_experiment(number)
    repair(folder)


def test_schema_of_another_version_is_named_with_the_remedy_of_mlflow(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(sqlite_file(default_uri(folder / "out"))) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert rerun(folder) == 1
    printed = "".join(capfd.readouterr())
    assert CELL in printed
    assert "451aebb31d03" in printed
    assert "mlflow db upgrade" in printed


def test_flush_sends_all_but_damaged_results_and_names_these(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sqlite_file(default_uri(folder / "out")).unlink()
    first, *others = sorted((folder / "out" / "done").iterdir())
    first.write_bytes(first.read_bytes()[:99])
    options = ["--space", str(folder / "tiny.yaml"), "--out", str(folder / "out"), "--flush"]
    assert run.main(options) == 1
    printed = "".join(capfd.readouterr())
    assert f"1 run is not in {default_uri(folder / 'out')}: {first} is damaged" in printed
    found = [made for made in runs(default_uri(folder / "out"))[1] if made.info.status == "FINISHED"]
    assert len(found) == len(others)


def test_dry_run_counts_damaged_results_as_left_to_run(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damaged = min((folder / "out" / "done").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:99])
    assert run.main(["--space", str(folder / "tiny.yaml"), "--out", str(folder / "out"), "--dry-run"]) == 0
    assert f"{damaged} is damaged" in capfd.readouterr().out.replace("\n", "")
    assert damaged.is_file()


@pytest.mark.parametrize("new", ["new", "ein neuer Ordner #1, é"])
@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_artifacts_are_found_after_results_were_moved_or_copied(
    folder: Path, move: Callable[[Path, Path], None], new: str
) -> None:
    move(folder / "out", folder / new)
    shutil.rmtree(folder / "out", ignore_errors=True)
    repair(folder, new)
    assert not (folder / "out").exists()
    uri = default_uri(folder / new)
    assert_complete(uri, Store(folder / new))  # lists the files of each run
    assert all((folder / new).as_uri() in found.info.artifact_uri for found in runs(uri)[1])


@pytest.mark.parametrize(
    ("error", "needs_repair"),
    [
        (ConnectionError("refused"), False),
        (TimeoutError("no answer"), False),
        (RuntimeError("API request failed with error code 503 != 200"), False),
        (RuntimeError("API request failed with error code 401 != 200"), True),
        (RuntimeError("Can't locate revision identified by 'abc'"), True),
    ],
)
def test_only_errors_that_do_not_pass_need_a_repair(error: Exception, needs_repair: bool) -> None:
    assert (repair_needed(error) is not None) == needs_repair


def test_summaries_that_cannot_be_sent_are_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("refused by a test")

    monkeypatch.setattr(Parents, "record", refuse)
    words = ["--space", str(folder / "tiny.yaml"), "--out", str(folder / "out"), "--flush"]
    assert run.main(words) == 0
    printed = " ".join(capfd.readouterr().out.split())
    assert "the summaries are not in sqlite:///" in printed
    assert "(refused by a test); --flush sends them" in printed
