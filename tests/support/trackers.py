"""What every test with a tracker must find: MLflow has what the store has, each thing once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from grid.store.store import Store
from grid.tracking.client import all_runs, client
from grid.tracking.names import EXPERIMENT, PLANS, final_metrics
from grid.tracking.runs import DIGEST


def runs(uri: str) -> tuple[Any, list[Any]]:
    """Return a client and the runs of all units."""
    return client(uri), [run for run in every_run(uri) if DIGEST in run.data.tags]


def every_run(uri: str, experiments: str = EXPERIMENT) -> list[Any]:
    """Return the runs of all experiments whose names begin with `experiments`."""
    connection = client(uri)
    found = [one for one in connection.search_experiments() if one.name.startswith(experiments)]
    return all_runs(connection, [one.experiment_id for one in found])


def assert_complete(uri: str, store: Store) -> None:
    """Assert one finished run per unit, with its parameters, its result, its files, and each step once."""
    connection, found = runs(uri)
    assert Counter(run.data.tags[DIGEST] for run in found) == Counter(store.finished())
    for run in found:
        marker = store.marker(run.data.tags[DIGEST])
        assert run.info.status == "FINISHED"
        assert marker.spec.keys() - {"protocol"} <= run.data.params.keys()
        assert marker.metrics.keys() <= final_metrics(run.data.metrics).keys()
        assert_steps(connection, run, store)
    assert len(every_run(uri, PLANS)) == 1


def assert_steps(connection: Any, run: Any, store: Store) -> None:
    """Assert that each row of the unit's history is there once."""
    name = run.data.tags[DIGEST]
    if "history.json" not in store.marker(name).artifacts:
        return
    history = json.loads(store.artifact(name, "history.json").read_text())
    assert history
    rows = connection.get_metric_history(run.info.run_id, "train_loss")
    assert Counter(row.step for row in rows) == Counter(row["step"] for row in history)
    assert "history.json" in {file.path for file in connection.list_artifacts(run.info.run_id)}


def files_with(secret: str, *folders: Path) -> list[Path]:
    """Return the files below the folders that contain `secret`."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if secret.encode() in path.read_bytes()]
