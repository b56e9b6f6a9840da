"""When the next update of MLflow begins."""

import time
from pathlib import Path

import made_space
import pytest

from grid.store.store import Store
from grid.tracking import background
from grid.tracking.background import BackgroundTracker


@pytest.mark.parametrize(("period", "waits"), [(0.01, False), (3600.0, True)])
def test_update_that_took_longer_than_a_period_is_followed_at_once(
    period: float, waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "PERIOD", period)
    monkeypatch.setattr(BackgroundTracker, "_update", lambda self: time.sleep(0.02))
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    tracker = BackgroundTracker("sqlite:///none.db", Store(tmp_path / "out"), plan)
    asked: list[float] = []

    def stop(timeout: float) -> bool:
        asked.append(timeout)
        tracker._stopping.set()
        return True

    monkeypatch.setattr(tracker._stopping, "wait", stop)
    tracker._follow()
    assert [timeout > 0 for timeout in asked] == [waits]
