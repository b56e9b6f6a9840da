"""What each of several processes does at the same moment; light, because each of them imports it."""

import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

from grid.plan.plan import Plan
from grid.store.store import Store
from grid.tracking import background
from grid.tracking.background import BackgroundTracker
from grid.tracking.client import client
from grid.tracking.experiments import experiment_id, open_experiments
from grid.tracking.names import PLANS

WAIT = 240.0


def connect(barrier: Barrier, uri: str, out: Path) -> None:
    barrier.wait(WAIT)
    connection = client(uri)
    opened = open_experiments(connection, out, "made")
    identities = (opened.space, opened.data, experiment_id(connection, out, PLANS))
    (out / f"{os.getpid()}.ids").write_text(" ".join(identities))


def send_units(barrier: Barrier, uri: str, out: Path, plan: Plan) -> None:
    background.PATIENCE = WAIT  # on a busy machine
    tracker = BackgroundTracker(uri, Store(out), plan)
    barrier.wait(WAIT)
    tracker.start()
    assert tracker.finish() == 0, tracker.problem
