"""`python -m bench`: its table, the ratios that it records, and what became slower since."""

import json
from pathlib import Path

import pytest

from bench import __main__ as suite
from bench.figure import LIMIT, Figure

FAST = Figure("epoch", 300, 100, "img/s", "Ray Data", 2)
SLOW = Figure("start", 2, 1, "s", LIMIT, 1)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of ratios in which `start` took half as long."""
    path = tmp_path / "ratios.json"
    before = {"date": "2026-01-02", "ratios": {f"it: start: {LIMIT}": 1.0, "gone: x: y": 3.0}}
    path.write_text(json.dumps(before), encoding="utf-8")
    monkeypatch.setattr(suite, "RATIOS", path)
    monkeypatch.setattr(suite, "COMMANDS", ("it", "broken"))
    monkeypatch.setattr(
        suite, "run", lambda command: (0, [("it", FAST), ("it", SLOW)]) if command == "it" else (1, [])
    )
    return path


def test_table_names_each_command_once_and_what_is_short() -> None:
    rows = suite.table([("it --fast", FAST), ("it --fast", SLOW)]).splitlines()[2:]
    assert rows == [
        "| epoch | `bench.it --fast` | 300 img/s | Ray Data, 100 img/s | 3 | 2 |",
        f"| start | same | 2 s | {LIMIT}, 1 s | 0.5 | 1, short |",
    ]


def test_ratio_below_four_fifths_of_the_recorded_one_is_named(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.main(["--only", "it"]) == 0
    printed = capsys.readouterr().out
    assert f"lower than on 2026-01-02: it: start: {LIMIT}: 0.5, recorded 1" in printed
    assert "epoch: Ray Data" not in printed.partition("lower than")[2]
    assert suite.lower({"a": 0.8, "b": 0.79}, {"a": 1.0, "b": 1.0}) == ["b: 0.79, recorded 1"]


def test_record_keeps_the_ratios_of_benchmarks_that_were_left_out(recorded: Path) -> None:
    suite.main(["--only", "it", "--record"])
    after = json.loads(recorded.read_text(encoding="utf-8"))["ratios"]
    assert after == {f"it: start: {LIMIT}": 0.5, "it: epoch: Ray Data": 3.0, "gone: x: y": 3.0}


def test_benchmark_that_fails_is_named_with_exit_code_1(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.main([]) == 1
    assert "did not run to the end: broken" in capsys.readouterr().err


def test_every_command_is_a_benchmark() -> None:
    for command in suite.COMMANDS:
        assert (Path(suite.__file__).parent / f"{command.split()[0]}.py").is_file()


def test_figures_of_a_benchmark_reach_the_table() -> None:
    code, measured = suite.run("svcca --rows 1000 --channels 8 --repeats 1")
    assert code == 0
    assert [figure.name for _, figure in measured] == ["svcca, 1,000 x 8"]
