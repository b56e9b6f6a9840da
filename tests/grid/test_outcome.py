"""What a run prints when it ends, was interrupted, or is over its budget."""

from pathlib import Path

import made_space
import pytest

from grid import outcome
from grid.options import RunOptions
from grid.outcome import Outcome
from medpt import cli
from medpt.files import read_json


def made_outcome(folder: Path, text: str = made_space.SPACE) -> Outcome:
    plan = made_space.plan(folder, text)
    return Outcome(plan, made_space.publish(plan, folder / "out", set(), {}), cli.console(), None)


@pytest.fixture
def run(tmp_path: Path) -> Outcome:
    """A run of a space whose units are all finished."""
    return made_outcome(tmp_path)


def digests(run: Outcome, kind: str) -> list[str]:
    return [name for name, unit in run.plan.units.items() if unit.kind == kind]


def unpublish(run: Outcome, *names: str) -> None:
    for name in names:
        run.store.known.discard(name)
        (run.store.root / "done" / f"{name}.json").unlink()


@pytest.mark.parametrize(("recorded", "code"), [(True, 0), (False, 1)])
def test_exit_code_is_1_where_the_record_is_incomplete(
    run: Outcome, recorded: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grid.report.build", lambda *arguments: Path("index.html"))
    assert run.report(recorded=recorded) == code


def test_exit_code_is_1_and_reasons_are_printed_where_units_failed(
    run: Outcome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("grid.report.build", lambda *arguments: Path("index.html"))
    blocked, failed, diverged = digests(run, "finetune")[:3]
    unpublish(run, blocked, failed, diverged)
    run.store.fail(failed, "error", "a mistake", trace="Traceback")
    run.store.fail(diverged, "diverged", "no number at step 3")
    assert run.report(recorded=True) == 1
    printed = capsys.readouterr().out
    labels = {name: run.plan.units[name].label for name in (blocked, failed, diverged)}
    assert f"not run: {labels[blocked]} (needs a unit that failed)" in printed
    assert f"failed: {labels[failed]}: a mistake\n  log: {run.store.out}/failed/{failed}.log" in printed
    assert f"failed: {labels[diverged]}: no number at step 3\n  to try again all the same, remove" in printed
    assert "report: index.html" in printed


def test_what_the_budget_left_is_counted_and_is_no_failure(
    run: Outcome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("grid.report.build", lambda *arguments: Path("index.html"))
    left = digests(run, "finetune")[:2]
    unpublish(run, *left)
    assert run.report(recorded=True, is_over=True) == 0
    assert "the budget is over: 2 units left; run the same command to resume" in capsys.readouterr().out
    run.store.fail(left[0], "error", "a mistake", trace="Traceback")
    assert run.report(recorded=True, is_over=True) == 1


def test_resume_message_has_the_command() -> None:
    options = RunOptions("made", "out", command="python -m grid.run --space made")
    message = outcome.resume_message("interrupted", options)
    assert message == "\ninterrupted; run the same command to resume:\n  python -m grid.run --space made\n"


ONE = made_space.SPACE.partition("  - name: masks")[0].replace("controls: false", "probes: true")


def test_answer_of_a_single_comparison_is_printed_and_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = made_outcome(tmp_path, ONE)
    made.print_results()
    (stored,) = read_json(made.store.root / "reports" / "made" / "answer.json")
    printed = capsys.readouterr().out
    assert stored["text"].rpartition(" IMAGES")[0] in printed  # then the option that names the store
    assert "weights of ISIC2019: " in printed
    assert "best.safetensors" in printed
    assert stored["best"] == "ISIC2019"
    assert 'initialization: ["ISIC2019"]' in stored["text"]
    assert stored["text"].rpartition(" IMAGES")[0] in outcome.interim_answer(made.plan, made.store.out)
    assert "Frozen encoders" in outcome.interim_answer(made.plan, made.store.out)


@pytest.mark.parametrize("most", [3, 2])
def test_answers_of_few_comparisons_are_printed_and_of_many_stored_alone(
    run: Outcome, most: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outcome, "MOST_ANSWERS", most)
    run.print_results()
    stored = read_json(run.store.root / "reports" / "made" / "answer.json")
    printed = capsys.readouterr().out
    assert len(stored) == 3
    assert [answer["text"].rpartition(" IMAGES")[0] in printed for answer in stored] == [most == 3] * 3
    assert ("answer: " in printed) == (most == 3)


def test_interim_answer_of_a_run_that_has_just_begun_is_empty(tmp_path: Path) -> None:
    made = made_outcome(tmp_path, ONE)
    unpublish(made, *made.plan.units)
    assert outcome.interim_answer(made.plan, made.store.out).strip() == ""
