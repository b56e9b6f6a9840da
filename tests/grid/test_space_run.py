"""What grid.run decides before and after the units run; whole runs are in end_to_end/test_run.py."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import made_space
import pytest

from grid import space_run as command
from grid.options import RunOptions
from grid.space import reader
from medpt import cli
from medpt.errors import InputError


@pytest.fixture
def run(tmp_path: Path) -> command.Run:
    """A run of a space whose units are all finished."""
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    options = RunOptions("made", str(tmp_path / "out"), command="python -m grid.run --space made")
    space = reader.load(str(tmp_path / "made.yaml"))
    return command.Run(options, space, plan, store, cli.console())


def digests(run: command.Run, kind: str) -> list[str]:
    return [name for name, unit in run.plan.units.items() if unit.kind == kind]


def unpublish(run: command.Run, *names: str) -> None:
    for name in names:
        run.store.known.discard(name)
        (run.store.root / "done" / f"{name}.json").unlink()


def test_finished_units_are_not_run(run: command.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.units_to_run(run) == []
    command.print_counts(run, [])
    printed = capsys.readouterr().out
    units = len(run.plan.units)
    assert f"{len(run.plan.trials)} trials, {units} units: {units} finished, 0 to run" in printed
    assert "nothing is left to do" in printed


def test_missing_units_are_run_inputs_first(run: command.Run) -> None:
    missing = [digests(run, "pretrain")[0], digests(run, "finetune")[-1]]
    unpublish(run, *reversed(missing))
    assert command.units_to_run(run) == missing


def test_diverged_units_are_skipped_and_failed_ones_are_run(
    run: command.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    diverged, failed = digests(run, "finetune")[:2]
    unpublish(run, diverged, failed)
    run.store.fail(diverged, "diverged", "no number at step 3")
    run.store.fail(failed, "memory", "too little")
    assert command.units_to_run(run) == [failed]
    command.print_counts(run, [failed])
    assert f"{len(run.plan.units) - 2} finished, 1 to run, 1 diverged" in capsys.readouterr().out


def test_fine_tunings_without_weights_are_run_again_on_request(
    run: command.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.units_to_run(run) == []
    asked = replace(run, options=replace(run.options, keep_missing=True))
    assert command.units_to_run(asked) == digests(run, "finetune")
    assert f"run again to keep its weights: {run.plan.units[digests(run, 'finetune')[0]].label}" in (
        " ".join(capsys.readouterr().out.split())
    )


def damage(run: command.Run, digest: str) -> None:
    """Change a byte of an artifact, but neither its size nor its time."""
    path = run.store.folder(digest) / next(iter(run.store.marker(digest).artifacts))
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=times)


def test_damaged_inputs_are_run_again(run: command.Run, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = next(name for name in digests(run, "finetune") if len(run.plan.units[name].needs) == 2)
    source = next(need for need in run.plan.units[tuned].needs if need in digests(run, "pretrain"))
    damage(run, source)
    assert command.units_to_run(run) == []
    unpublish(run, tuned)
    assert command.units_to_run(run) == [source, tuned]
    assert f"run again: {run.plan.units[source].label}" in capsys.readouterr().out


def test_verify_finds_damage_in_every_unit(run: command.Run, capsys: pytest.CaptureFixture[str]) -> None:
    source, tuned = digests(run, "pretrain")[0], digests(run, "finetune")[-1]
    damage(run, source)
    damage(run, tuned)
    assert command.units_to_run(run) == []
    verified = replace(run, options=replace(run.options, verify=True))
    assert command.units_to_run(verified) == [source, tuned]
    printed = capsys.readouterr().out
    assert all(f"run again: {run.plan.units[name].label}" in printed for name in (source, tuned))


def test_damaged_marker_and_deleted_folder_are_run_again(
    run: command.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    cut, deleted = digests(run, "finetune")[:2]
    path = run.store.root / "done" / f"{cut}.json"
    path.write_bytes(path.read_bytes()[:200])
    shutil.rmtree(run.store.folder(deleted))
    assert command.units_to_run(run) == [cut, deleted]
    printed = capsys.readouterr().out
    assert f"done/{cut}.json is damaged" in printed
    assert f"run again: {run.plan.units[deleted].label}" in printed


def test_missing_published_weights_are_refused(run: command.Run, tmp_path: Path) -> None:
    name = digests(run, "finetune")[0]
    unit = run.plan.units[name]
    run.plan.units[name] = replace(unit, spec=replace(unit.spec, initialization="imagenet*"))
    options = replace(run.options, imagenet_weights=tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}.*shufflenetv2"):
        command.check_units(replace(run, options=options), [name])
    command.check_units(run, digests(run, "finetune")[1:])
