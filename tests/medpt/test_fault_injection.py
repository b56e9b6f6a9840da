"""Planned faults: at the named place, to the named unit, exactly so many times over all processes."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medpt import fault_injection, files

HIT = "import sys; from medpt import fault_injection as f; f.running(sys.argv[1]); f.point(sys.argv[2])"


def hit(folder: Path, fault: str, unit: str, at: str) -> "subprocess.Popen[bytes]":
    environment = os.environ | {fault_injection.VARIABLE: f"{fault},in:{folder}"}
    return subprocess.Popen([sys.executable, "-c", HIT, unit, at], env=environment)


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(fault_injection.VARIABLE, raising=False)
    fault_injection.point("after_checkpoint")
    assert fault_injection.happened(tmp_path) == []


def test_of_many_processes_exactly_so_many_die(tmp_path: Path) -> None:
    started = [hit(tmp_path, "at:after_*,do:kill9,count:3", "pretrain-a", "after_marker") for _ in range(8)]
    codes = [process.wait(60) for process in started]
    assert sorted(codes) == [-signal.SIGKILL] * 3 + [0] * 5
    assert {fact["pid"] for fact in fault_injection.happened(tmp_path)} == {
        process.pid for process, code in zip(started, codes, strict=True) if code
    }


@pytest.mark.parametrize(
    ("unit", "at"), [("finetune-a", "after_marker"), ("pretrain-a", "before_marker"), ("", "after_marker")]
)
def test_another_unit_and_another_point_are_spared(unit: str, at: str, tmp_path: Path) -> None:
    assert hit(tmp_path, "unit:pretrain-*,at:after_marker,do:kill9", unit, at).wait(60) == 0
    assert fault_injection.happened(tmp_path) == []


def test_stopped_process_resumes_when_told(tmp_path: Path) -> None:
    process = hit(tmp_path, "at:step/7,do:stop", "x", "step/7")
    until = time.monotonic() + 60
    while not fault_injection.happened(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(60) == 0


def test_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counted").mkdir()
    kept = tmp_path / "kept" / "page.html"
    files.write_text(kept, "old")
    monkeypatch.setenv(fault_injection.VARIABLE, f"at:replacing/page.*,do:raise ENOSPC,in:{tmp_path}/counted")
    with pytest.raises(OSError, match="No space left") as raised:
        files.write_text(kept, "new")
    assert raised.value.errno == errno.ENOSPC
    assert [path.read_text() for path in kept.parent.iterdir()] == ["old"]
    files.write_text(kept, "new")
    assert kept.read_text() == "new"


def test_sleeper_is_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fault_injection.VARIABLE, f"at:x,do:sleep 0.2,in:{tmp_path}")
    begun = time.monotonic()
    fault_injection.point("x")
    assert time.monotonic() - begun >= 0.2
    assert fault_injection.happened(tmp_path)[0]["at"] == "x"


@pytest.mark.parametrize(
    "text",
    ["at:x", "at:x,do:kill,in:/", "at:x,do:raise NONE,in:/", "at:x,do:kill9,in:/,where:y", "do:kill9,in:/"],
)
def test_what_is_no_fault_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fault_injection.VARIABLE, text)
    with pytest.raises(ValueError, match=r"MEDPT_FAULT: .*accepted"):
        fault_injection.point("y")
