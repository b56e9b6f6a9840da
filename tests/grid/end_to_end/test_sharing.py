"""Two laboratories on one machine: the second takes over what the first published, by the commands."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import tiny

from grid import publish as publish_command


def pull(space: Path, data: Path, out: Path, registry: Path) -> "subprocess.CompletedProcess[str]":
    words = ["--from", registry, "--space", space, "--data", data, "--out", out]
    command = [sys.executable, "-m", "grid.pull", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_second_laboratory_verifies_a_sample_and_runs_nothing(undisturbed: tiny.Run, tmp_path: Path) -> None:
    registry, out = tmp_path / "registry", tmp_path / "second"
    published = ["--space", "tiny", "--out", str(undisturbed.out), "--to", str(registry)]
    assert publish_command.main([*published, "--publisher", "First"]) == 0
    pulled = pull(undisturbed.space, undisturbed.data, out, registry)
    assert pulled.returncode == 0, pulled.stderr
    assert f"tiny: 0 of {tiny.UNITS} units left to run" in pulled.stdout
    recomputed = [
        marker for marker in tiny.markers(out).values() if (marker.get("origin") or {}).get("is_recomputed")
    ]
    assert {marker["kind"] for marker in recomputed} == {"pretrain", "finetune"}
    printed = tiny.run(undisturbed.space, undisturbed.data, out)
    assert "nothing is left to do" in printed
    assert "results pulled: computed by First" in printed
    reports = [folder / "reports" / "tiny" / "table.csv" for folder in (out, undisturbed.out)]
    assert reports[0].read_text() == reports[1].read_text()
    damaged = registry / "batches" / f"{'0' * 64}.json"
    damaged.write_text("{}")
    again = pull(undisturbed.space, undisturbed.data, out, registry)
    assert again.returncode == 1, again.stderr
    assert f"left out: {damaged} was altered" in again.stderr
    assert f"tiny: 0 of {tiny.UNITS} units left to run" in again.stdout
    own = {name for name, marker in tiny.markers(out).items() if not marker.get("origin")}
    assert {tiny.markers(out)[name]["kind"] for name in own} <= {"prepare"}


def test_forged_result_is_refused_with_both_numbers(undisturbed: tiny.Run, tmp_path: Path) -> None:
    """The forger recomputes every checksum; only the recomputation finds what no file of a unit gives."""
    registry, forged = tmp_path / "registry", tmp_path / "forged"
    shutil.copytree(undisturbed.out, forged, symlinks=True)
    for path in (forged / "done").glob("*.json"):
        marker = json.loads(path.read_text())
        if marker["kind"] == "pretrain":
            marker["metrics"]["images_seen"] /= 2
            del marker["checksum"], marker["files"]
            path.write_text(json.dumps(marker))
    published = ["--space", "tiny", "--out", str(forged), "--to", str(registry)]
    assert publish_command.main(published) == 0
    refused = pull(undisturbed.space, undisturbed.data, tmp_path / "second", registry)
    assert refused.returncode == 2, refused.stderr
    assert "was published" in refused.stderr
    assert "of anonymous is in quarantine" in refused.stderr
    assert {marker["kind"] for marker in tiny.markers(tmp_path / "second").values()} <= {"prepare"}
