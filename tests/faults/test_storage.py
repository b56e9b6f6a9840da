"""Disks that are full, and writers that die: what was there stays whole, what is missing is made later."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import made_space
import oracle
import pytest
import tiny

from grid import report
from grid.store.store import Store
from medpt import fault_injection
from medpt.files import TEMPORARY

FEW = made_space.FEW_UNITS.replace("ChestXRay2017", "DRIVE")
ON_A_SMALL_DISK = """
mount -t tmpfs -o size={size}m tmpfs {out} || exit 99
{command}
echo "first: $?"
mount -o remount,size=900m {out}  # two networks at once, three states of 88 MB each
{command}
echo "second: $?"
cp -r {out} {copy}
"""


def own_mounts() -> bool:
    """Whether this user may mount a disk of its own, seen by no other process."""
    words = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


@pytest.mark.fault
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("size", [2, 8, 24])
def test_full_disk_is_reported_and_with_room_the_same_command_ends_well(
    size: int, folder: Path, data: Path, space: Path, reference: Path
) -> None:
    """At 2 MB the record does not fit, at 8 MB a network does not, at 24 MB not all of them do."""
    if not own_mounts():
        pytest.skip("this user may not mount a disk of its own")
    out, copy = folder / f"full-{size}", folder / f"full-{size}-copy"
    out.mkdir()
    command = shlex.join(tiny.command(space, data, out))
    script = ON_A_SMALL_DISK.format(size=size, out=out, copy=copy, command=command)
    with oracle.place() as place:
        process = place.start(["unshare", "-rm", "bash", "-c", script])
        assert process.wait(timeout=1800) == 0, place.output()
        output = place.output()
        assert not list(place.processes())
    assert "first: 1" in output or "first: 2" in output, output
    assert "second: 0" in output, output
    first = output.partition("first: ")[0]
    assert "grid/run.py" not in first  # the driver itself met no error that it did not expect
    assert str(out) in first
    assert "free" in first
    assert oracle.broken(copy, reference, [oracle.Kill(0, time.time())]) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made")
    plan = made_space.plan(out, FEW)
    store = made_space.publish(plan, out, set(), {})
    made_space.record_all(store, plan)
    report.build("made", out)
    return out


def test_report_that_dies_leaves_the_old_page(made: Path, tmp_path: Path) -> None:
    pages, names = made / "reports" / "made", ["table.csv", "trials.csv", "index.html"]
    new = {path.name: path.read_bytes() for path in pages.iterdir()}
    old = {name: b"old " + content for name, content in new.items()}
    for file, content in old.items():
        (pages / file).write_bytes(content)
    command = [sys.executable, "-m", "grid.report", "--space", "made", "--out", str(made)]
    dying = [f"at:replacing/{name},do:kill9" for name in names]
    environment = os.environ | {fault_injection.VARIABLE: oracle.planned(tmp_path, *dying)}
    for name in names:
        assert subprocess.run(command, check=False, env=environment).returncode == -9
        assert all((pages / file).read_bytes() in (old[file], new[file]) for file in new)
        assert (pages / name).read_bytes() == old[name]
        assert (pages / "index.html").read_bytes() == old["index.html"]
    assert subprocess.run(command, check=False, env=environment).returncode == 0
    assert {file: (pages / file).read_bytes() for file in new} == new


def test_leftovers_of_the_dead_are_swept_after_an_hour(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    store.create()
    pages = store.root / "reports" / "tiny"
    pages.mkdir(parents=True)
    folders = [store.root / name for name in ("units", "done", "failed", "plans")] + [pages]
    for folder in folders:
        for age in (0, 7200):
            path = folder / f"{TEMPORARY}{age}"
            path.write_text("half")
            os.utime(path, (time.time() - age,) * 2)
        (folder / "kept").write_text("whole")
        os.utime(folder / "kept", (0, 0))
    store.clean_up()
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {f"{TEMPORARY}0", "kept"}
