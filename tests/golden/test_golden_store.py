"""A store that version 0.3.1 left is finished for this version, and gives the same table.

`store-0.3.1` is the smallest grid of the tests: `done/`, `plans/`, and of `units/` the manifests, histories
and records. Left out are weights, arrays and shards, which nothing needs once all units are finished; leases,
caches and reports; and MLflow's database, which the run fills again from the store. The name of the machine
was replaced.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from version_0_3_1 import frame_of, pinned, run_grid, write_synthetic_data

STORE = Path(__file__).parent / "store-0.3.1"
EXPECTED = pinned("store.json")


@dataclass(frozen=True)
class Rerun:
    """A copy of the store that its space was run into again, and what the commands printed."""

    out: Path
    dry_run: str
    run: str


@pytest.fixture(scope="module")
def rerun(tmp_path_factory: pytest.TempPathFactory) -> Rerun:
    """Copy the store, write the synthetic data again, and run the trials without a source; needs no Ray.

    All images of sources are prepared since, so that their trials would run again.
    """
    folder = tmp_path_factory.mktemp("store")
    out = Path(shutil.copytree(STORE, folder / "out"))
    space, data = Path(__file__).parent / "tiny.yaml", folder / "data"
    write_synthetic_data(EXPECTED["data"], data)
    options = ("--filter", "initialization=random")
    dry_run = run_grid(space, data, out, *options, "--dry-run")
    return Rerun(out, dry_run, run_grid(space, data, out, *options))


def test_dry_run_counts_every_unit_as_finished(rerun: Rerun) -> None:
    """Compare the first columns of its table: unit, planned, finished, to do."""
    rows = [line.split()[:4] for line in rerun.dry_run.splitlines()]
    counts = {row[0]: row[1:] for row in rows if row and row[0] in EXPECTED["dry_run"]}
    assert counts == EXPECTED["dry_run"]


def test_run_executes_no_unit(rerun: Rerun) -> None:
    """Each execution takes a lease and each finished unit writes a marker: there is none of either."""
    assert not list((rerun.out / "leases").rglob("*.json"))
    assert not list((rerun.out / "failed").iterdir())
    before = {path.name: path.read_bytes() for path in (STORE / "done").iterdir()}
    assert {path.name: path.read_bytes() for path in (rerun.out / "done").iterdir()} == before


def test_run_prints_the_same_table(rerun: Rerun) -> None:
    lines = rerun.run.splitlines()
    assert [line for line in EXPECTED["table"] if line not in lines] == []


def test_results_load_gives_the_same_frame(rerun: Rerun) -> None:
    frame = frame_of("tiny", rerun.out)
    assert frame["columns"] == EXPECTED["frame"]["columns"]
    assert [row for row in frame["rows"] if row["protocol"]] == EXPECTED["frame"]["rows"]


def test_store_names_no_machine() -> None:
    texts = [path.read_text() for path in STORE.rglob("*.json")]
    assert not [text for text in texts if "/tmp/" in text]  # noqa: S108
    hosts = {json.loads(path.read_text())["host"] for path in (STORE / "done").iterdir()}
    assert hosts == {"machine"}
