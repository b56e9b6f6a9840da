"""What each of many processes does at the same moment; light, because each of them imports it."""

import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

from grid.plan.plan import Plan
from grid.store.store import Store
from grid.tracking import client
from grid.tracking import tracker as track

WAIT = 240.0


def connected(barrier: Barrier, uri: str, out: Path) -> None:
    barrier.wait(WAIT)
    connection = client.client(uri)
    identities = [client.experiment(connection, out, name) for name in (track.EXPERIMENT, track.PLANS)]
    (out / f"{os.getpid()}.ids").write_text(" ".join(identities))


def recorded(barrier: Barrier, uri: str, out: Path, plan: Plan) -> None:
    track.PATIENCE = WAIT  # eight on a busy machine
    tracker = track.Tracker(uri, Store(out), plan)
    barrier.wait(WAIT)
    tracker.start()
    assert tracker.finish() == 0, tracker.problem
