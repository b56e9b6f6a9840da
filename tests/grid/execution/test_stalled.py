"""A driver that waits for machines says for which, and why none of those that are there will do."""

from types import SimpleNamespace
from typing import Any

import pytest

from grid.execution import stalled
from grid.execution.stalled import StallNotice

MIXED = [{"CPU": 16.0}, {"CPU": 4.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("bundle", "nodes", "said"),
    [
        ({"CPU": 1, "GPU": 0.25}, [{"CPU": 8.0}], "none of the cluster's 1 machines has as much GPU"),
        ({"CPU": 1}, [], "none of the cluster's 0 machines has as much CPU"),
        ({"CPU": 8, "GPU": 0.5}, MIXED, "no single machine of the cluster's 2 has both"),
        ({"CPU": 2, "GPU": 0.5}, MIXED, "taken by other work"),
    ],
)
def test_why_it_waits(bundle: dict[str, float], nodes: list[dict[str, float]], said: str) -> None:
    assert said in stalled.why(bundle, nodes)


def trial(status: str, **resources: float) -> Any:
    return SimpleNamespace(status=status, placement_group_factory=SimpleNamespace(bundles=[resources]))


def test_it_speaks_when_nothing_runs_and_ever_more_rarely() -> None:
    now, heard = [0.0], list[float]()
    patience = StallNotice(10, lambda text: heard.append(now[0]), lambda: now[0], lambda: MIXED)
    ended, waits, runs = trial("TERMINATED"), trial("PENDING", CPU=1.0), trial("RUNNING", CPU=1.0)
    for second in range(100):
        now[0] = float(second)
        patience.look([ended, waits, runs] if second == 5 or second >= 90 else [ended, waits])
    assert heard == [15, 25, 45, 85]


def test_a_queue_behind_running_work_is_no_news_nor_is_having_nothing_to_start() -> None:
    now, heard = [0.0], list[str]()
    patience = StallNotice(10, heard.append, lambda: now[0], lambda: MIXED)
    for second in range(100):
        now[0] = float(second)
        patience.look([trial("RUNNING"), trial("PENDING", CPU=1.0)] if second % 2 else [trial("TERMINATED")])
    assert not heard


def test_equal_wishes_are_said_once() -> None:
    asked = [{"CPU": 1.0, "GPU": 0.25}] * 3 + [{"CPU": 1.0, "GPU": 0.5}]
    text = stalled.told(61, asked, [{"CPU": 8.0}])
    assert text.splitlines()[0] == "for 61 s no unit has been at work, and 4 wait:"
    assert text.count("0.25 GPU each") == text.count("0.5 GPU each") == 1
