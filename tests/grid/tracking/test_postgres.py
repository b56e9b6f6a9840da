"""`make tracking` on a real PostgreSQL with artifacts in S3: the record is complete and holds no secret."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bucket_server
import made_space
import pytest
from services import SECRET, Server, database, postgres
from trackers import assert_complete, files_with, runs

from grid.plan.plan import Plan
from grid.store.store import Store
from grid.tracking import __main__ as tracking
from grid.tracking.background import BackgroundTracker
from grid.tracking.runs import DIGEST
from grid.tracking.tracker import Tracker


class Services(NamedTuple):
    server: Server
    bucket: str


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    with postgres(folder / "postgres") as address, bucket_server.server() as bucket:
        server = Server(
            folder / "out",
            MEDPT_TRACKING_DB=database(address, "mlflow"),
            MEDPT_TRACKING_ARTIFACTS=bucket,
            MLFLOW_AUTH_ADMIN_PASSWORD=SECRET,
        )
        server.start()
        yield Services(server, bucket)
        server.kill()


def test_record_in_postgresql_and_s3_is_complete_and_resending_adds_nothing(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS)
    store = made_space.publish(plan, tmp_path / "store", set(), {})
    uri = services.server.uri
    send(uri, store, plan)
    assert_complete(uri, store)
    connection, found = runs(uri)
    for run in found:  # as after a server that lost its last minutes
        connection.update_run(run.info.run_id, status="RUNNING")
    monkeypatch.setattr(Tracker, "_remember", forget_steps)
    send(uri, store, plan)
    assert_complete(uri, store)
    keys = objects(services.bucket)
    assert sum(key.endswith("history.json") for key in keys) == sum(
        (store.folder(name) / "history.json").is_file() for name in store.finished()
    )


def objects(place: str) -> list[str]:
    """Return the keys below s3://BUCKET/PREFIX."""
    import boto3

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return [
        found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    ]


def forget_steps(self: Tracker, run: Any) -> None:
    """Remember the run but not what it holds, so that everything is sent once more."""
    self.runs[run.data.tags[DIGEST]] = (run.info.run_id, run.info.status)


def send(uri: str, store: Store, plan: Plan) -> None:
    tracker = BackgroundTracker(uri, store, plan)
    tracker.start()
    assert tracker.finish() == 0, tracker.problem


def test_no_secret_is_printed_stored_or_among_the_arguments(services: Services) -> None:
    server = services.server
    assert SECRET not in server.log
    assert files_with(SECRET, server.out) == []
    assert all(SECRET not in " ".join(process.cmdline()) for process in server.family())


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("MEDPT_TRACKING_DB", f"postgresql://me:{SECRET}@127.0.0.1:9/mlflow", "refused"),
        ("MEDPT_TRACKING_DB", f"oracle://me:{SECRET}@127.0.0.1/mlflow", "oracle"),
        ("MEDPT_TRACKING_ARTIFACTS", "s3://nobody-made-this", "bucket"),
    ],
)
def test_unusable_address_is_reported_in_one_line(
    name: str,
    value: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert tracking.main(["--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert name in printed.err
    assert reason in printed.err
    assert SECRET not in printed.err + printed.out
