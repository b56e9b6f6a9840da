"""The progress line, and the notice of a stall: what trials wait for, and why no machine has it."""

import io
from types import SimpleNamespace
from typing import Any

import pytest
from made_units import data_unit, trial_unit
from rich.console import Console

from grid.execution import progress
from grid.execution.progress import Progress, StallNotice

MIXED = [{"CPU": 16.0}, {"CPU": 4.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("bundle", "nodes", "text"),
    [
        ({"CPU": 1, "GPU": 0.25}, [{"CPU": 8.0}], "none of 1 machine of the cluster has as much GPU"),
        ({"CPU": 1}, [], "none of 0 machines of the cluster has as much CPU"),
        ({"CPU": 8, "GPU": 0.5}, MIXED, "no single machine of the cluster's 2 has both"),
        ({"CPU": 2, "GPU": 0.5}, MIXED, "used by other work"),
    ],
)
def test_reason_names_what_no_machine_has(
    bundle: dict[str, float], nodes: list[dict[str, float]], text: str
) -> None:
    assert text in progress.reason(bundle, nodes)


def trial(status: str, **resources: float) -> Any:
    return SimpleNamespace(status=status, placement_group_factory=SimpleNamespace(bundles=[resources]))


def test_stall_notice_reports_at_doubled_intervals_while_nothing_runs() -> None:
    now, heard = [0.0], list[float]()
    notice = StallNotice(10, lambda text: heard.append(now[0]), lambda: now[0], lambda: MIXED)
    ended, waits, runs = trial("TERMINATED"), trial("PENDING", CPU=1.0), trial("RUNNING", CPU=1.0)
    for second in range(100):
        now[0] = float(second)
        notice.check([ended, waits, runs] if second == 5 or second >= 90 else [ended, waits])
    assert heard == [15, 25, 45, 85]


def test_stall_notice_is_silent_while_trials_run_or_none_waits() -> None:
    now, heard = [0.0], list[str]()
    notice = StallNotice(10, heard.append, lambda: now[0], lambda: MIXED)
    for second in range(100):
        now[0] = float(second)
        notice.check([trial("RUNNING"), trial("PENDING", CPU=1.0)] if second % 2 else [trial("TERMINATED")])
    assert not heard


def test_stall_text_lists_equal_requests_once() -> None:
    wanted = [{"CPU": 1.0, "GPU": 0.25}] * 3 + [{"CPU": 1.0, "GPU": 0.5}]
    text = progress.describe_stall(61, wanted, [{"CPU": 8.0}])
    assert text.splitlines()[0] == "no unit has started for 61 s; 4 are waiting:"
    assert text.count("0.25 GPU each") == text.count("0.5 GPU each") == 1


def test_progress_line_counts_ended_units_and_names_running_ones() -> None:
    first, second, data = trial_unit(0), trial_unit(1), data_unit(2)
    printed = io.StringIO()
    shown = Progress(Console(file=printed), dict.fromkeys((first.digest, second.digest, data.digest), 1.0))
    for event, unit in (("started", data), ("started", first), ("finished", first), ("started", second)):
        shown.on_event(event, unit)  # type: ignore[arg-type]
    shown.on_images(1_200)
    text = shown.line().plain
    assert text.startswith("1/3 units · 0:00")
    assert " left, until " in text
    assert "1,200 images prepared" in text
    assert text.endswith(f"{data.spec.verb} prepare 2 · {second.spec.verb} unet 1")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which tests set."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_time_left_is_shown_from_a_quarter_of_the_run(now: list[float]) -> None:
    short, long = trial_unit(0), trial_unit(1)
    shown = Progress(Console(file=io.StringIO()), {short.digest: 10.0, long.digest: 90.0})
    shown.on_event("started", short)
    now[0] = 20.0  # at half the predicted speed
    shown.on_event("finished", short)
    shown.on_event("started", long)
    now[0] = 28.0
    assert "left" not in shown.line().plain
    now[0] = 60.0  # 40 of 180 s
    left = shown.seconds_left()
    assert left is not None
    assert 60 < left <= 140
    assert f"about {progress.duration(left)} left" in shown.line().plain


def test_unit_that_exceeds_its_prediction_is_not_counted_as_done(now: list[float]) -> None:
    late, waiting = trial_unit(0), trial_unit(1)
    shown = Progress(Console(file=io.StringIO()), {late.digest: 10.0, waiting.digest: 10.0})
    shown.on_event("started", late)
    now[0] = 100.0
    assert shown.seconds_left() == pytest.approx(progress.LATE * 100 + 100)


def test_time_left_is_at_least_that_of_the_longest_unit(now: list[float]) -> None:
    units = [trial_unit(n) for n in range(4)]
    costs = {unit.digest: 100.0 for unit in units[:3]} | {units[3].digest: 500.0}
    shown = Progress(Console(file=io.StringIO()), costs)
    for unit in units[:3]:
        shown.on_event("started", unit)
    now[0] = 100.0
    for unit in units[:3]:
        shown.on_event("finished", unit)
    shown.on_event("started", units[3])
    now[0] = 200.0
    assert shown.seconds_left() == pytest.approx(400)


def test_failed_and_retried_units_get_a_line_of_their_own() -> None:
    printed = io.StringIO()
    shown = Progress(Console(file=printed), {})
    for event in ("started", "retried", "started", "failed", "blocked"):
        shown.on_event(event, trial_unit(0))  # type: ignore[arg-type]
    assert [line.split()[0] for line in printed.getvalue().splitlines()] == ["interrupted,", "failed"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (187, "3:07"), (7_500, "2 h 05 min")])
def test_duration_is_minutes_or_hours(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
