"""Whole runs on faulty data or options: refused before anything starts, or the rest runs to its end."""

import shutil
from pathlib import Path
from types import ModuleType

import pytest
import serial
import tiny

from grid import query, results
from grid import run as command
from grid.store.store import Store


def test_refusals(undisturbed: tiny.Run, tmp_path: Path) -> None:
    """A class that does not exist and a dataset that is missing are reported in one pass."""
    out, bad = tmp_path / "refused", shutil.copytree(undisturbed.data, tmp_path / "bad")
    table = next((bad / "ISIC2019").rglob("*GroundTruth.csv"))
    table.write_text(table.read_text().replace("MEL", "MOLE"))
    shutil.rmtree(bad / "DRIVE")
    output = serial.run(undisturbed.space, bad, out, code=2)
    assert "MEL" in output
    assert table.name in output
    assert "DRIVE" in output
    assert "Traceback" not in output
    assert not list((out / "done").iterdir())


def test_absent_data_are_one_problem(tmp_path: Path) -> None:
    space, out, nowhere = tiny.written(tmp_path), tmp_path / "out", tmp_path / "nowhere"
    assert "--data DIR" in serial.run(space, None, out, code=2)
    assert serial.run(space, nowhere, out, code=2).count(f"{nowhere}: no such folder") == 1


@pytest.mark.parametrize("limit", ["0", "-1", "two"])
def test_limit_that_leaves_nothing_is_refused(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--space", "demo", "--limit", limit])
    assert ended.value.code == 2
    assert f"--limit: `{limit}`: a whole number from 1 is accepted" in capsys.readouterr().err


@pytest.mark.parametrize("uri", ["foo://bar", "file:///records", "mlruns", "sqlite://records", "http:/host"])
@pytest.mark.parametrize("asks", [command, query])
def test_tracker_of_another_kind_is_refused(
    asks: ModuleType, uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        asks.main(["--space", "demo", "--tracking-uri", uri])
    assert ended.value.code == 2
    assert f"--tracking-uri: `{uri}`: http(s)://" in capsys.readouterr().err


@pytest.fixture(scope="module")
def failing(undisturbed: tiny.Run, tmp_path_factory: pytest.TempPathFactory) -> tiny.Run:
    """A run on chest images of which one is cut, with a pre-training that diverges."""
    folder = tmp_path_factory.mktemp("failing")
    data = Path(shutil.copytree(undisturbed.data, folder / "data"))
    image = sorted((data / "ChestXRay2017").rglob("*.jpeg"))[3]
    image.write_bytes(image.read_bytes()[:200])
    text = tiny.SPACE.replace("pretrain: {", "pretrain: {learning_rate: 9, ")
    space, out = tiny.written(folder, text, "failing"), folder / "out"
    return tiny.Run(data, space, out, serial.run(space, data, out, code=1))


def test_truncated_image_fails_what_needs_it(failing: tiny.Run) -> None:
    image = sorted((failing.data / "ChestXRay2017").rglob("*.jpeg"))[3]
    assert image.name in failing.output
    assert "Traceback" not in failing.output
    kinds = sorted((marker["kind"], marker["label"]) for marker in tiny.markers(failing.out).values())
    assert kinds == [
        ("finetune", "random → DRIVE · unet/shufflenet_v2 · 0"),
        ("prepare", "DRIVE"),
        ("prepare", "ISIC2019"),
    ]
    frame = results.load("failing", failing.out)
    assert sorted(frame["status"]) == ["finished", "missing", "missing", "missing"]


def test_diverging_unit_fails_once_and_the_rest_continues(failing: tiny.Run) -> None:
    store = Store(failing.out)
    causes = {name: store.failure(name).cause for name in store.failures()}
    (diverged,) = (name for name, cause in causes.items() if cause == "diverged")
    assert sorted(causes.values()) == ["data", "diverged"]
    assert "step" in store.failure(diverged).reason
    again = serial.run(failing.space, failing.data, failing.out, "--filter", "target=DRIVE", code=1)
    assert "not run: ISIC2019 → DRIVE · unet/shufflenet_v2 · 0 (needs a unit that failed)" in again
    assert tiny.executions(failing.out)[diverged] == 1


@pytest.mark.fault
def test_damaged_results_are_made_again(undisturbed: tiny.Run, tmp_path: Path) -> None:
    out = Path(shutil.copytree(undisturbed.out, tmp_path / "out"))
    by_kind = {(m["kind"], m["label"]): name for name, m in tiny.markers(out).items()}
    chest = by_kind["prepare", "ChestXRay2017"]
    source = next(name for (kind, _), name in by_kind.items() if kind == "pretrain")
    shutil.rmtree(out / "cache")
    shard = next((out / "units" / chest).glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    network = out / "units" / source / "best.safetensors"
    network.write_bytes(network.read_bytes()[:1000])
    for (kind, _), name in by_kind.items():
        if kind == "finetune":
            (out / "done" / f"{name}.json").unlink()
    output = serial.run(undisturbed.space, undisturbed.data, out)
    assert shard.name in output
    assert network.name in output
    assert tiny.numbers(out) == tiny.numbers(undisturbed.out)
