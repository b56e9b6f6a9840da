"""The notice of a stall: which resources trials wait for, and why no machine has them."""

from types import SimpleNamespace
from typing import Any

import pytest

from grid.execution import stalled
from grid.execution.stalled import StallNotice

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
    assert text in stalled.reason(bundle, nodes)


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
    text = stalled.describe_stall(61, wanted, [{"CPU": 8.0}])
    assert text.splitlines()[0] == "no unit has started for 61 s; 4 are waiting:"
    assert text.count("0.25 GPU each") == text.count("0.5 GPU each") == 1
