"""Metrics that do not follow from the files of their unit, and items of another test set, are refused."""

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import laboratories
import numpy as np
import pytest
from laboratories import Laboratory, forge, forge_file, path_of

from grid.registry import claims
from grid.registry.folder import Registry
from grid.registry.publish import publish
from grid.registry.pull import refused_batches
from grid.registry.records import file_name
from medpt.errors import InputError
from medpt.files import json_bytes
from medpt.specs import UnitSpec

Arrays = dict[str, Any]

MASKS = {"confusions": np.ones((10, 2, 2), np.int64)}
SURVIVAL = {"time": np.arange(10.0), "event": np.ones(10, bool), "risk": np.ones(10), "trained": np.array(9)}


def refusal(lab: Laboratory, registry: Registry, truth: Laboratory) -> str:
    """Return the one message that a pull is refused with; nothing of the batch is taken over."""
    with pytest.raises(InputError) as refused:
        laboratories.take(lab, Registry(registry.place), truth, lambda units: [])
    line, quarantine = refused.value.problems
    assert "is in quarantine" in quarantine
    assert len(refused_batches(lab.store)) == 1
    assert lab.store.finished() == set()
    return line


def items_of(registry: Registry, digest: str) -> Arrays:
    sha256 = laboratories.shared(registry, digest).artifacts["items.npz"]
    with np.load(path_of(registry, file_name(sha256))) as arrays:
        return dict(arrays)


def archive(arrays: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("name", ["auc", "macro_auc", "accuracy", "brier", "balanced_accuracy"])
def test_metric_that_does_not_follow_from_the_items_is_refused_with_both_numbers(
    name: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("finetune")[0]
    true = first.store.marker(digest).metrics
    forge(registry, digest, metrics={**true, name: 0.99})
    line = refusal(second, registry, first)
    assert first.plan.units[digest].label in line
    assert line.endswith(f".json: {name} is 0.99; {true[name]!r} follows from its items.npz")


@pytest.mark.parametrize("kind", ["pretrain", "finetune"])
@pytest.mark.parametrize("name", ["steps", "best_step", "val_auc", "steps_to_95"])
def test_metric_that_does_not_follow_from_the_history_is_refused(
    name: str, kind: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests(kind)[0]
    true = first.store.marker(digest).metrics
    forge(registry, digest, metrics={**true, name: 0.25})
    assert refusal(second, registry, first).endswith(
        f"{name} is 0.25; {true[name]!r} follows from its history.json"
    )


@pytest.mark.parametrize("name", ["history.json", "early.json"])
def test_steps_after_the_last_one_of_the_protocol_are_refused(
    name: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("finetune")[0]
    row = {"step": 31, "val_auc": 0.1} | ({"train_loss": 0.5, "time": 1.5} if name[0] == "h" else {})
    forge_file(registry, digest, name, json_bytes([row]))
    with pytest.raises(InputError, match=f"{name} continues to step 31; up to 30 is accepted"):
        laboratories.take(second, Registry(registry.place), first, lambda units: [])


def test_record_with_unknown_keys_is_refused(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("pretrain")[0]
    forge_file(registry, digest, "record.json", json_bytes({"note": 1, "train_images": 1, "val_images": 1}))
    assert "record.json has unknown key `note`" in refusal(second, registry, first)


def test_counts_of_another_dataset_are_refused(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = next(d for d in first.digests("prepare") if "ISIC" in first.plan.units[d].label)
    sha256 = laboratories.shared(registry, digest).artifacts["counts.json"]
    counts = json.loads(path_of(registry, file_name(sha256)).read_bytes()) | {"dataset": "Other"}
    forge_file(registry, digest, "counts.json", json_bytes(counts))
    assert "counts.json is of Other; ISIC2019 is accepted" in refusal(second, registry, first)


def test_metric_of_another_task_is_refused(first: Laboratory, second: Laboratory, registry: Registry) -> None:
    digest = first.digests("finetune")[0]
    forge(registry, digest, metrics={**first.store.marker(digest).metrics, "miou": 0.5})
    assert "miou is 0.5; none follows from its items.npz" in refusal(second, registry, first)


def test_values_with_which_a_unit_fails_are_refused(
    first: Laboratory, second: Laboratory, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = first.digests("finetune")[0]

    def fail(spec: UnitSpec, *_: Any) -> dict[str, dict[str, float]]:
        return {} if spec.digest != digest else {"items.npz": {"auc": 1 / 0}}

    monkeypatch.setattr(claims, "stored_metrics", fail)
    assert refusal(second, registry, first).endswith(
        "has files that give no metrics (ZeroDivisionError: division by zero)"
    )


def test_unit_without_its_headline_is_refused(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("finetune")[0]
    metrics = {k: v for k, v in first.store.marker(digest).metrics.items() if k != "auc"}
    forge(registry, digest, metrics=metrics)
    assert "has no auc, the headline metric of its task" in refusal(second, registry, first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {k: v[:-1] for k, v in a.items()}, "items.npz has 9 test items; 10 are accepted"),
        (lambda a: a | {"labels": 1 - a["labels"][[0, 0, *range(2, 10)]]}, "4 NORMAL, 6 PNEUMONIA in its"),
        (lambda a: MASKS, "items.npz is of segmentation; classification is accepted"),
        (lambda a: SURVIVAL, "items.npz is of survival; classification is accepted"),
        (lambda a: a | {"scores": np.repeat(a["scores"], 2, 1)}, "has 4 classes; ChestXRay2017 has 2"),
    ],
)
@pytest.mark.parametrize("is_prepared", [False, True])
def test_items_of_another_test_set_are_refused(
    change: Any, message: str, is_prepared: bool, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    """By the images that are here, or the counts of the same batch."""
    if is_prepared:
        laboratories.compute(second)
        for digest in second.store.finished() - set(second.digests("prepare")):
            second.store.invalidate(digest)
    digest = first.digests("finetune")[0]
    forge_file(registry, digest, "items.npz", archive(change(items_of(registry, digest))))
    with pytest.raises(InputError) as refused:
        laboratories.take(second, Registry(registry.place), first, lambda units: [])
    assert any(message in line for line in refused.value.problems)


def test_data_of_another_batch_accuse_nobody(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    """A batch with false counts is refused itself, not the batches whose units have other ones."""
    (digest, *_) = (d for d in first.digests("prepare") if "ChestXRay" in first.plan.units[d].label)
    sha256 = laboratories.shared(registry, digest).artifacts["counts.json"]
    counts = json.loads(path_of(registry, file_name(sha256)).read_bytes())
    counts["images"]["test"] = 7
    counts["counts"]["test"] = {"NORMAL": 3, "PNEUMONIA": 4}
    forge_file(registry, digest, "counts.json", json_bytes(counts))
    path = next(p for p in (Path(registry.place) / "batches").iterdir() if b"Forger" in p.read_bytes())
    forged = json.loads(path.read_bytes())
    forged["units"] = {digest: forged["units"][digest]}
    content = json_bytes(forged)
    path.unlink()
    registry.write(f"batches/{hashlib.sha256(content).hexdigest()}.json", content)
    taken = laboratories.take(second, Registry(registry.place), first, lambda units: [])
    assert set(taken.staged) == set(second.plan.units)


def test_publish_refuses_what_nobody_could_pull(first: Laboratory, tmp_path: Path) -> None:
    digest = first.digests("finetune")[0]
    marker, folder = first.store.marker(digest), first.store.folder(digest)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    first.store.invalidate(digest)
    built = tmp_path / "built"
    built.mkdir()
    for name, data in content.items():
        (built / name).write_bytes(data)
    first.store.publish(digest, built, replace(marker, metrics={**marker.metrics, "auc": 0.99}))
    with pytest.raises(InputError, match=r"auc is 0.99; .* follows from its items.npz"):
        publish(first.plan, first.store, Registry(str(tmp_path / "none")), "First")
    assert not (tmp_path / "none" / "batches").exists()
