"""Whole runs into a bucket: the same numbers, and a machine that is lost takes nothing with it."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import bucket_server
import pytest
import tiny

from grid.store.backends import BucketBackend
from grid.store.store import Store


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server.server() as made:
        yield made


@pytest.mark.fault
def test_killed_on_one_machine_it_resumes_on_another(
    server: str, undisturbed: tiny.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each machine starts with nothing; what it finished and what it had begun lies in the bucket."""
    url, moment, (data, space, on_disk, _) = f"{server}/killed", random.Random(0), undisturbed
    for machine in range(3):
        monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / f"machine-{machine}"))
        process = tiny.start(space, data, url)
        if machine < 2:
            time.sleep(moment.uniform(6, 16))
            process.kill()
        output, _ = process.communicate(timeout=300)
        if process.returncode == 0:
            break
    assert process.returncode == 0, output
    monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / "looks"))
    assert tiny.numbers_of(Store(url)) == tiny.numbers(on_disk)
    assert "nothing is left to do" in tiny.run(space, data, url)
    bucket = BucketBackend(url)
    assert bucket.sizes("checkpoints") == {}
    finished = Store(url).finished()
    assert len(finished) == tiny.UNITS
    assert all(Store(url).marker(name).attempt == Store(url).leases.newest(name) for name in finished)
