"""Hashes of files are taken in the background, and before prepared data are published."""

import os
import threading
from pathlib import Path

import pytest
from made_units import plan_of

from grid.plan.datasets import SpaceDatasets, recorded_contents
from grid.plan.plan import Unit
from grid.preparation.content_recorder import ContentRecorder
from medpt.data import contents
from medpt.errors import InputError
from medpt.files import read_json
from medpt.specs import Prepare


@pytest.fixture
def found(tmp_path: Path) -> SpaceDatasets:
    folders = {name: tmp_path / "data" / name for name in ("A", "B")}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "1.png").write_text(name)
    return SpaceDatasets(folders, {"A": "print-a", "B": "print-b"}, [])


def recorder_of(found: SpaceDatasets, out: Path, *names: str) -> ContentRecorder:
    specs = [Prepare(name, found.fingerprints[name], f"resize({32 * n})") for n, name in enumerate(names, 1)]
    plan = plan_of([Unit(spec, (), spec.dataset) for spec in specs])
    return ContentRecorder(plan, list(plan.units), found, out)


def test_records_are_there_once_waited_for(found: SpaceDatasets, tmp_path: Path) -> None:
    recorder = recorder_of(found, tmp_path, "A", "B", "A")
    recorder.wait("B")
    for name in "ab":
        assert list(read_json(recorded_contents(tmp_path, f"print-{name}"))) == ["1.png"]
    recorder.wait("C")  # not prepared in this run


def test_start_does_not_wait_for_hashes(
    found: SpaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(contents, "record", lambda root, path: go.wait(30) and path.parent.mkdir())
    recorder = recorder_of(found, tmp_path, "A")
    assert not (tmp_path / "contents").exists()
    go.set()
    recorder.wait("A")
    assert (tmp_path / "contents").is_dir()


def test_what_is_recorded_is_not_hashed_again(
    found: SpaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder_of(found, tmp_path, "A").wait("A")
    monkeypatch.setattr(contents, "record", lambda root, path: pytest.fail("hashed again"))
    recorder_of(found, tmp_path, "A").wait("A")


def test_file_that_vanished_is_named_to_who_waits(
    found: SpaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: Path, path: Path) -> None:
        raise InputError(f"{root}/1.png: no such file")

    monkeypatch.setattr(contents, "record", fail)
    with pytest.raises(InputError, match=r"1\.png: no such file"):
        recorder_of(found, tmp_path, "A").wait("A")


def test_data_of_the_units_left_to_run_are_hashed_first(
    found: SpaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(contents, "record", lambda root, path: hashed.append(root.name))
    specs = [Prepare(name, found.fingerprints[name], "resize(32)") for name in ("A", "B")]
    plan = plan_of([Unit(spec, (), spec.dataset) for spec in specs])
    recorder = ContentRecorder(plan, [specs[1].digest], found, tmp_path)
    recorder.wait("A")
    assert hashed == ["B", "A"]


@pytest.mark.parametrize("when", ["before its hash", "after its hash"])
def test_file_that_is_replaced_during_the_preparation_is_noticed(
    when: str, found: SpaceDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, real = found.folders["A"] / "1.png", contents.sha256

    def replace() -> None:
        image.write_text("B")
        os.utime(image, ns=(0, image.stat().st_mtime_ns + 10**9))

    def replace_and_hash(path: Path) -> str:
        if when == "before its hash":
            replace()
        return real(path)

    monkeypatch.setattr(contents, "sha256", replace_and_hash)
    recorder = recorder_of(found, tmp_path, "A")
    recorder._recorded["A"].result()
    monkeypatch.setattr(contents, "sha256", real)
    if when == "after its hash":
        replace()
    with pytest.raises(InputError, match="edited while it was prepared; run the same command again"):
        recorder.wait("A")
    assert contents.edited(found.folders["A"], recorded_contents(tmp_path, "print-a"), write=True)
