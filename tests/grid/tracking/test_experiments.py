"""The run of a unit is found in a SQLite file without reading those of all others."""

import sqlite3
from contextlib import closing
from pathlib import Path

from grid.tracking.client import client, default_uri, sqlite_file
from grid.tracking.experiments import TAGGED, find_runs, open_experiments
from grid.tracking.runs import DIGEST

RUNS = 1_000
STEPS = 200  # of SQLite for one search; without an index it takes five for each run


def test_search_for_the_run_of_a_unit_takes_no_longer_with_more_runs(tmp_path: Path) -> None:
    connection = client(default_uri(tmp_path))
    opened = open_experiments(connection, tmp_path, "vessels")
    created = connection.create_run(opened.space, tags={DIGEST: "unit"})
    with closing(sqlite3.connect(sqlite_file(connection.tracking_uri))) as database, database:
        others = [(DIGEST, f"other {n}", f"{n:032x}") for n in range(RUNS)]
        database.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", others)
        steps: list[None] = []
        database.set_progress_handler(lambda: steps.append(None), 1)
        assert database.execute(TAGGED, (DIGEST, "unit")).fetchall() == [(created.info.run_id,)]
        assert len(steps) < STEPS
        database.set_progress_handler(None, 1)
    (found,) = find_runs(connection, opened.known, DIGEST, "unit")
    assert found.info.run_id == created.info.run_id
