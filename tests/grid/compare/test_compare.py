"""The command without a run: what it prints, asks and writes, and when it refuses."""

import sys
from pathlib import Path

import pytest
from user_data import class_folders

from grid.compare import __main__ as command
from grid.compare import space_file, step_time
from grid.space import reader
from medpt.data.card_reader import read_card


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images; the working folder is empty, and a step takes a tenth of a second."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(step_time, "measure", lambda architecture, backbone: (0.1, 1.0))
    return class_folders(tmp_path / "skin")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The options of runs instead of runs."""
    found: list[object] = []
    monkeypatch.setattr("grid.compare.__main__.run_space", lambda options: found.append(options) or 0)
    return found


def test_yes_writes_the_files_and_runs_them(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(home), "--yes", "--budget", "20m", "--cpus", "2"]) == 0
    (options,) = started
    assert (options.space, options.budget_seconds) == ("compare.yaml", 1200)  # type: ignore[attr-defined]
    space = reader.load("compare.yaml")
    assert {trial.initialization for trial in space.trials} == {"random", "SS-Jigsaw"}
    assert {trial.target for trial in space.trials} == {"skin"}
    assert {trial.fold for trial in space.trials} == set(range(5))
    assert space.settings.probes
    assert space.settings.of("skin").folder == str(home)
    assert read_card(Path("dataset.yaml"), home=home).classes == ("ill", "well")
    assert not (home / "dataset.yaml").exists()
    printed = capsys.readouterr().out
    assert "? modality" in printed
    assert "plan: 10 fine-tunings (2 initializations, 5 splits) of 300 steps at 64 px" in printed
    assert "here, of a budget of 20 min" in printed


def test_password_of_the_tracker_is_in_no_file(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "postgresql://me:secret@host/mlflow"
    assert command.main([str(home), "--yes", "--tracking-uri", uri]) == 0
    assert "secret" not in Path("compare.yaml").read_text()
    assert "***@host" in Path("compare.yaml").read_text()
    assert "secret" not in started[0].command  # type: ignore[attr-defined]
    assert "secret" not in capsys.readouterr().out


def test_same_command_runs_the_files_as_they_are(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([str(home), "--yes"])
    edited = Path("compare.yaml").read_text().replace("size: 64", "size: 96")
    Path("compare.yaml").write_text(edited)
    assert command.main([str(home), "--yes"]) == 0
    assert "it is run as it is" in capsys.readouterr().out
    assert Path("compare.yaml").read_text() == edited
    assert len(started) == 2
    assert command.main([str(home), "--sources", "random"]) == 2
    assert command.main([str(home / "ill"), "--yes"]) == 2
    assert "it compares on skin" in capsys.readouterr().err


def test_no_writes_the_files_and_starts_nothing(
    home: Path, started: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert command.main([str(home)]) == 0
    assert Path("compare.yaml").is_file()
    assert started == []


def test_without_a_terminal_yes_is_needed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(home)]) == 2
    assert "--yes is needed" in capsys.readouterr().err
    assert list(Path().iterdir()) == []


def test_cluster_that_does_not_answer_is_refused_before_files_are_written(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(home), "--yes", "--address", "127.0.0.1:1", "--cpus", "2"]) == 2
    assert "--address 127.0.0.1:1: Connection refused: start the head" in capsys.readouterr().err
    assert list(Path().iterdir()) == []
    assert not started


def test_files_are_never_written_below_the_images(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home / "ill")
    assert command.main([str(home), "--yes"]) == 2
    assert "never below the images" in capsys.readouterr().err


def test_results_are_not_written_below_the_images(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(home), "--yes", "--out", str(home / "runs")]) == 2
    assert f"--out {home / 'runs'}: lies below the images" in capsys.readouterr().err
    assert not Path(space_file.SPACE).exists()
    assert not started


def test_other_dataset_yaml_is_kept(
    home: Path, started: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("dataset.yaml").write_text("name: Other\n")
    assert command.main([str(home), "--yes"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert Path("dataset.yaml").read_text() == "name: Other\n"
    assert not Path(space_file.SPACE).exists()


@pytest.mark.parametrize(("given", "message"), [("0m", "a time such as 2h"), ("soon", "a time such as 2h")])
def test_budget_is_a_time(given: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["x", "--budget", given])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
