"""The oracle finds what it is there for: each sentence of the contract, broken on purpose."""

import json
import shutil
from pathlib import Path
from typing import Any

import oracle
import pytest
from oracle import Kill

from medpt import files

STARTED, AGAIN, ENDED = 1.0, 3.0, 5.0


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """Two finished units: `a`, executed twice by process 7, and `b`, once."""
    out = tmp_path / "reference"
    for name, starts in {"a": [STARTED, AGAIN], "b": [STARTED]}.items():
        for attempt, started in enumerate(starts, 1):
            write(out / "leases" / name / f"{attempt}.json", {"started": started, "pid": 7})
        publish(out, name, 0.5)
    return out


@pytest.fixture
def out(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(oracle, "unrecorded", lambda out: [])  # no MLflow here
    return Path(shutil.copytree(reference, tmp_path / "out"))


def publish(out: Path, name: str, loss: float) -> dict[str, Any]:
    """A finished unit; its marker."""
    history = out / "units" / name / "history.json"
    write(history, [{"step": 1, "train_loss": loss, "time": STARTED}])
    sums = {"best.safetensors": "sum", history.name: files.sha256(history)}
    identity = {"digest": name, "kind": "finetune", "spec": {}, "needs": [], "label": name, "version": 1}
    marker = identity | {"host": "node", "started": STARTED, "ended": ENDED, "attempt": 1}
    marker |= {"metrics": {"auc": 0.5}, "artifacts": sums}
    write(out / "done" / f"{name}.json", marker)
    return marker


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("kill", [Kill(2, 2), Kill(2, 2, 7), Kill(0, 2), Kill(2, 2, spared="b")])
def test_kill_in_between_explains_a_second_execution(kill: Kill, out: Path, reference: Path) -> None:
    assert oracle.broken(out, reference, [kill]) == []


@pytest.mark.parametrize(
    "kill", [Kill(4, 4), Kill(0, 0.5), Kill(2, 2, 8), Kill(2, 2, spared="a"), Kill(2, 2, 7, spared="a")]
)
def test_another_kill_does_not(kill: Kill, out: Path, reference: Path) -> None:
    assert oracle.broken(out, reference, [kill]) == [
        "executed again though nothing interrupted it: a",
    ]


def test_lost_altered_and_unplanned_results_are_reported(out: Path, reference: Path) -> None:
    kills = [Kill(2, 2)]
    marker = publish(out, "a", 0.5)
    write(out / "done" / "a.json", marker | {"metrics": {"auc": 0.6}})
    assert oracle.broken(out, reference, kills) == ["other numbers: a"]
    write(
        out / "done" / "a.json", marker | {"artifacts": marker["artifacts"] | {"best.safetensors": "changed"}}
    )
    assert oracle.broken(out, reference, kills) == ["other weights: a/best.safetensors"]
    publish(out, "a", 0.4)
    assert oracle.broken(out, reference, kills) == ["other numbers: a"]
    publish(out, "a", 0.5)
    write(out / "failed" / "b.json", {})
    assert oracle.broken(out, reference, kills) == ["failed: b"]
    (out / "failed" / "b.json").unlink()
    (out / "units" / "b" / "history.json").write_text("[")
    (problem,) = oracle.broken(out, reference, kills)
    assert problem.startswith("damaged: ")
    (out / "done" / "b.json").unlink()
    publish(out, "c", 0.5)
    assert {"lost: b", "not planned: c"} <= set(oracle.broken(out, reference, kills))


def test_execution_after_the_end_is_reported(out: Path, reference: Path) -> None:
    write(out / "leases" / "b" / "2.json", {"started": ENDED + 1, "pid": 9})
    kills = [Kill(2, 2), Kill(ENDED, ENDED)]
    assert oracle.broken(out, reference, kills) == ["executed again after it was finished: b"]
