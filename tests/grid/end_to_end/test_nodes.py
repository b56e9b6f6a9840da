"""Runs over several nodes: real raylets on this machine, the driver in a process of its own."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bucket_server
import pytest
import tiny
from ray.cluster_utils import Cluster
from services import SECRET, Server, database, postgres
from trackers import assert_complete

from grid.store.artifacts import copy_of
from grid.store.backends import BucketBackend
from grid.store.store import Store

pytestmark = pytest.mark.fault  # minutes: a cluster starts for each

SPACE = tiny.SPACE.replace("seed: [0]", "seed: [0, 1]")
SHORT_TRAINING = "{min_steps: 0, max_steps: 8, evaluate_every: 2}"
LONG = SPACE.replace(SHORT_TRAINING, "{min_steps: 60, max_steps: 60, evaluate_every: 20}")


@contextmanager
def cluster(*nodes: dict[str, str]) -> Iterator[Cluster]:
    """A head without CPUs and a node of one CPU for each environment; stopped at the end."""
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False},
    )
    try:
        for environment in nodes:
            made.add_node(num_cpus=1, env_vars=environment)
        yield made
    finally:
        made.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def reference(tmp_path: Path, data: Path) -> Callable[[str], dict[str, Any]]:
    """The numbers of an undisturbed run of a space on this machine alone."""

    def numbers(text: str) -> dict[str, Any]:
        tiny.run(tiny.written(tmp_path, text, "alone"), data, tmp_path / "alone")
        return tiny.numbers(tmp_path / "alone")

    return numbers


def test_two_nodes_share_a_bucket_and_each_fills_its_cache_once(
    tmp_path: Path, data: Path, reference: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes see the owner's data and the bucket; what they keep of it they share with nobody."""
    expected = reference(SPACE)
    with bucket_server.server() as server:
        url = f"{server}/nodes"
        copies = {name: str(tmp_path / name) for name in ("one", "two")}
        environments = [dict(os.environ) | {"MEDPT_COPIES": place} for place in copies.values()]
        with cluster(*environments) as nodes:
            tiny.run(tiny.written(tmp_path, SPACE), data, url, "--address", nodes.address)
        monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / "looks"))
        store = Store(url)
        assert tiny.numbers_of(store) == expected
        assert all(store.leases.newest(name) == 1 for name in expected)
        for place in copies.values():
            monkeypatch.setenv("MEDPT_COPIES", place)
            own = copy_of(url)
            trained = [name for name in expected if (own / "units" / name).exists()]
            assert len(trained) > 4  # both nodes worked
            filled = list((own / "cache").glob("*/images.npy"))
            assert 1 <= len(filled) <= 3


def test_unit_moves_when_its_node_is_lost(
    tmp_path: Path, data: Path, reference: Callable[[str], dict[str, Any]]
) -> None:
    expected = reference(LONG)
    out, space = tmp_path / "out", tiny.written(tmp_path, LONG)
    with cluster(dict(os.environ), dict(os.environ)) as nodes:
        process = tiny.start(space, data, out, "--address", nodes.address)
        victim = nodes.list_all_nodes()[1]
        wait(lambda: len({path.parent for path in (out / "checkpoints").glob("*/*.safetensors")}) == 2)
        nodes.remove_node(victim, allow_graceful=False)
        lost = time.time()
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert tiny.numbers(out) == expected
    again = {name: count for name, count in tiny.executions(out).items() if count > 1}
    assert 1 <= sum(count - 1 for count in again.values()) <= 2, again  # what ran on the node
    for name in again:
        assert tiny.holders(out, name)[-1]["started"] - lost < 60


def test_node_and_the_tracker_are_killed_and_nothing_is_missing(
    tmp_path: Path, data: Path, reference: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes, a bucket as store, PostgreSQL and the bucket as tracker: the numbers of a laptop."""
    expected = reference(LONG)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    space = tiny.written(tmp_path, LONG)
    with postgres(tmp_path / "postgres") as address, bucket_server.server() as bucket:
        tracker = Server(
            tmp_path / "tracker",
            MEDPT_TRACKING_DB=database(address, "mlflow"),
            MEDPT_TRACKING_ARTIFACTS=f"{bucket}-tracked",
            MLFLOW_AUTH_ADMIN_PASSWORD=SECRET,
        )
        tracker.start()
        environments = [dict(os.environ) | {"MEDPT_COPIES": str(tmp_path / name)} for name in ("one", "two")]
        monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / "head"))
        store = Store(bucket)
        with cluster(*environments) as nodes:
            process = tiny.start(
                space, data, bucket, "--address", nodes.address, "--tracking-uri", tracker.uri
            )
            wait(lambda: len(in_training(bucket)) == 2)
            tracker.kill()
            nodes.remove_node(nodes.list_all_nodes()[1], allow_graceful=False)
            wait(lambda: len(store.finished()) > 4)
            tracker.start()
            output, _ = process.communicate(timeout=400)
        assert process.returncode in (0, 1), output  # 1 where the tracker lacks something
        tiny.run(space, data, bucket, "--tracking-uri", tracker.uri)  # sends what the tracker may lack
        assert tiny.numbers_of(store) == expected
        assert 1 <= sum(store.leases.newest(name) - 1 for name in expected) <= 2  # what ran on the node
        assert_complete(tracker.uri, store)
        tracker.kill()


def in_training(bucket: str) -> set[str]:
    """Units whose state is in the bucket; what is being prepared keeps shards there."""
    names = BucketBackend(bucket).sizes("checkpoints")
    return {name.split("/")[-2] for name in names if name.endswith(".safetensors")}


def wait(until: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_lost_head_is_one_sentence_and_the_next_run_finishes(
    tmp_path: Path, data: Path, reference: Callable[[str], dict[str, Any]]
) -> None:
    expected = reference(SPACE)
    out, space = tmp_path / "out", tiny.written(tmp_path, SPACE)
    with cluster(dict(os.environ)) as nodes:
        process = tiny.start(space, data, out, "--address", nodes.address)
        wait(lambda: bool(tiny.markers(out)))
        for gone in list(nodes.list_all_nodes()):
            nodes.remove_node(gone, allow_graceful=False)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert "run the same command to resume" in output
    tiny.run(space, data, out)
    assert tiny.numbers(out) == expected


def test_two_drivers_on_one_store_do_each_unit_once(
    tmp_path: Path, data: Path, reference: Callable[[str], dict[str, Any]]
) -> None:
    expected = reference(SPACE)
    out, space = tmp_path / "out", tiny.written(tmp_path, SPACE)
    drivers = [tiny.start(space, data, out, "--cpus", "1") for _ in range(2)]
    outputs = [driver.communicate(timeout=600)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], "\n".join(outputs)
    assert tiny.numbers(out) == expected
    assert set(tiny.executions(out).values()) == {1}
    assert len({tiny.holders(out, name)[0]["run"] for name in expected}) == 2  # both worked
