"""Guarded pre-trainings: planned without looking at the rest of the space, told in the report."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import made_space
import pytest
from pyarrow import parquet

from grid.execution import leak_guard
from grid.execution.inputs import StoreInputs
from grid.options import RunOptions
from grid.plan import cost
from grid.plan.plan import Plan, Unit
from grid.preparation import loaders
from grid.report import shared_data
from grid.results.stored_space import StoredSpace
from grid.store.store import Store
from medpt.data import shared_classes
from medpt.data.catalog import card
from medpt.data.leakage import FilteredLoader, Leak, without_leaks
from medpt.data.readers import chexpert
from medpt.files import read_json
from medpt.specs import Evaluate, Finetune, Pretrain
from medpt.units.base import Job

BLOCK = """
size: 32
controls: false
experiments:
  - initialization: [{initialization}]
    backbone: [resnet18]
    target: [{target}]
    seed: [0]
"""


def planned(folder: Path, initialization: str, target: str) -> Plan:
    return made_space.plan(folder, BLOCK.format(initialization=initialization, target=target))


def pretrainings(plan: Plan) -> dict[str, Pretrain]:
    return {unit.label: unit.spec for unit in plan.units.values() if isinstance(unit.spec, Pretrain)}


def unit(plan: Plan, label: str) -> Unit:
    (found,) = [entry for entry in plan.units.values() if entry.label == label]
    return found


def test_source_of_the_target_s_modality_is_guarded_and_shares_the_common_result(tmp_path: Path) -> None:
    plan = planned(tmp_path, "EyePACS, CheXpert", "DRIVE, MESSIDOR, ChestXRay2017")
    common = unit(plan, "EyePACS · resnet18")
    guarded = unit(plan, "EyePACS for DRIVE · resnet18")
    drive, eyepacs = unit(plan, "DRIVE"), unit(plan, "EyePACS")
    assert isinstance(guarded.spec, Pretrain)
    assert guarded.spec.guards == (drive.digest,)
    assert guarded.needs == (eyepacs.digest, drive.digest, common.digest)
    assert guarded.spec.unguarded == common.spec
    starts = {
        (entry.spec.initialization, entry.spec.dataset): plan.units[entry.spec.weights or ""].label
        for entry in plan.units.values()
        if isinstance(entry.spec, Finetune)
    }
    assert starts == {
        ("EyePACS", "DRIVE"): "EyePACS for DRIVE · resnet18",
        ("EyePACS", "MESSIDOR"): "EyePACS for MESSIDOR · resnet18",
        ("EyePACS", "ChestXRay2017"): "EyePACS · resnet18",
        ("CheXpert", "DRIVE"): "CheXpert · resnet18",
        ("CheXpert", "MESSIDOR"): "CheXpert · resnet18",
        ("CheXpert", "ChestXRay2017"): "CheXpert for ChestXRay2017 · resnet18",
    }


def test_trial_has_one_name_in_every_space(tmp_path: Path) -> None:
    large = planned(tmp_path, "EyePACS, ISIC2019, M3-CLS, SS-Jigsaw", "DRIVE, MESSIDOR, ChestXRay2017")
    small = planned(tmp_path, "EyePACS, M3-CLS, SS-Jigsaw", "MESSIDOR")
    assert set(small.units) <= set(large.units)
    assert [name for trial, name in large.trials if (trial.initialization, trial.target) in KEPT] == [
        name for _, name in small.trials
    ]


KEPT = {(start, "MESSIDOR") for start in ("EyePACS", "M3-CLS", "SS-Jigsaw")}


def test_collection_is_guarded_where_one_of_its_datasets_may_leak(tmp_path: Path) -> None:
    labels = pretrainings(planned(tmp_path, "M3-CLS, M3-SEG", "MESSIDOR, CIFAR-100"))
    assert sorted(labels) == [
        "M3-CLS for MESSIDOR · resnet18",
        "M3-CLS · resnet18",
        "M3-SEG · unet/resnet18",
    ]


def test_self_supervision_is_guarded_by_its_own_target(tmp_path: Path) -> None:
    plan = planned(tmp_path, "SS-Jigsaw", "DRIVE")
    (spec,) = pretrainings(plan).values()
    assert spec.guards == spec.data == (unit(plan, "DRIVE").digest,)
    assert cost.trains(unit(plan, "SS-Jigsaw on DRIVE · resnet18"))


def test_comparison_is_not_counted_as_a_training(tmp_path: Path) -> None:
    plan = planned(tmp_path, "EyePACS", "DRIVE")
    common, guarded = unit(plan, "EyePACS · resnet18"), unit(plan, "EyePACS for DRIVE · resnet18")
    checked, trained = (cost.seconds(entry, cost.DataSizes(), "GPU") for entry in (guarded, common))
    assert checked == cost.LEAK_CHECK_SECONDS < trained
    assert cost.trains(common)
    assert not cost.trains(guarded)
    assert cost.trains(unit(plan, "EyePACS → DRIVE · unet/resnet18 · 0"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "out")
    made.create()
    return made


def test_comparison_is_made_once_a_node_and_read_back(tmp_path: Path, store: Store) -> None:
    """The made datasets have the same pictures: all of them are identical."""
    plan = planned(tmp_path, "EyePACS", "MESSIDOR")
    source, target = unit(plan, "EyePACS"), unit(plan, "MESSIDOR")
    for entry in (source, target):
        made_space.finish(store, entry)
    first = leak_guard.compare(source.digest, target.digest, store, tmp_path / "cache")
    assert (first.source, first.target, first.images, first.against) == ("EyePACS", "MESSIDOR", 20, 30)
    assert first.kinds == {"identical": 20}
    store.folder(source.digest).rename(tmp_path / "away")
    assert leak_guard.compare(source.digest, target.digest, store, tmp_path / "cache") == first


def test_streamed_set_leaves_them_out_as_well(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards are read one after the other here, which Ray Data otherwise does."""

    def one_by_one(paths: list[Path], select: Callable[[Any, int], Any]) -> Iterator[Any]:
        return (select(parquet.read_table(path), place) for place, path in enumerate(paths))

    monkeypatch.setattr(loaders, "stream", one_by_one)
    source = unit(planned(tmp_path, "EyePACS", "MESSIDOR"), "EyePACS")
    made_space.finish(store, source)
    streamed = loaders.StreamingLoader(store.folder(source.digest))
    found = [Leak("EyePACS", f"image-{number:03d}", "MESSIDOR", "x", "near") for number in (1, 4, 8, 29)]
    trimmed = FilteredLoader(streamed, without_leaks(found, streamed.index))
    rows = trimmed.index.rows("train")
    kept = [number for number in range(30) if number % 3 and number not in (1, 4, 8, 29)]
    assert rows.tolist() == kept
    pixels = {made_space.picture(number)[0].tobytes() for number in kept}
    epoch = islice(
        trimmed.batches(rows, 4, 0, augment=False), trimmed.steps_per_epoch(rows, 4, augment=False)
    )
    drawn = [image.numpy().tobytes() for images, _, _ in epoch for image in images]
    assert len(drawn) == 16
    assert set(drawn) <= pixels
    assert [image.numpy().tobytes() for images, _ in trimmed.scan(rows, 4) for image in images] == [
        made_space.picture(number)[0].tobytes() for number in kept
    ]


def test_what_is_taken_over_is_the_same_file(tmp_path: Path, store: Store) -> None:
    common = unit(planned(tmp_path, "EyePACS", "MESSIDOR"), "EyePACS · resnet18")
    made_space.finish(store, common)
    (tmp_path / "folder").mkdir()
    metrics = leak_guard.take_over(common.digest, store, tmp_path / "folder")
    assert metrics == store.marker(common.digest).metrics
    for name in ("history.json", "record.json"):
        assert (tmp_path / "folder" / name).samefile(store.folder(common.digest) / name)


def finished(plan: Plan, store: Store, leaked: float) -> StoredSpace:
    for entry in plan.units.values():
        made_space.finish(store, entry)
        if isinstance(entry.spec, Pretrain) and entry.spec.guards:
            path = store.root / "done" / f"{entry.digest}.json"
            marker = store.marker(entry.digest)
            metrics = {**marker.metrics, "leaked_images": leaked}
            path.write_bytes(replace(marker, metrics=metrics).content())
    return StoredSpace(plan, store)


@pytest.mark.parametrize(
    ("leaked", "listed"),
    [
        (0.0, {"EyePACS · resnet18": 2}),
        (
            3.0,
            {
                "EyePACS · resnet18": 0,
                "EyePACS for DRIVE · resnet18": 1,
                "EyePACS for MESSIDOR · resnet18": 1,
            },
        ),
    ],
)
def test_shared_work_lists_what_was_trained(
    tmp_path: Path, store: Store, leaked: float, listed: dict[str, int]
) -> None:
    plan = planned(tmp_path, "EyePACS", "DRIVE, MESSIDOR")
    sources = finished(plan, store, leaked).sources()
    assert {source.label: source.users for source in sources} == listed


@pytest.mark.parametrize(("options", "state"), [("{}", "excluded"), ("{exclude: []}", "kept")])
def test_shared_classes_say_what_the_space_does(
    tmp_path: Path, store: Store, options: str, state: str
) -> None:
    block = BLOCK.format(initialization="CheXpert, EyePACS, random", target="ChestXRay2017, MESSIDOR")
    plan = made_space.plan(tmp_path, f"datasets:\n  CheXpert: {{options: {options}}}{block}")
    found = shared_data.classes(StoredSpace(plan, store))
    assert [(shared.entry.source, shared.entry.target, shared.state) for shared in found] == [
        ("CheXpert", "ChestXRay2017", state),
        ("EyePACS", "MESSIDOR", "kept"),
    ]


def test_table_of_classes_is_the_readers() -> None:
    assert shared_classes.excluded_classes("CheXpert") == ("Pneumonia",)
    assert chexpert.open.__defaults__ == (("Pneumonia",),)
    for entry in shared_classes.SHARED:
        known = {name.lower() for side in (entry.source, entry.target) for name in card(side).classes}
        named = {name.lower() for name in entry.classes}
        assert named <= known | {shared_classes.GRADES, "most of them"}
    assert {"bed", "bus", "chair"} <= set(shared_classes.ALIKE)


def test_nothing_is_reported_of_what_was_not_compared_yet(tmp_path: Path, store: Store) -> None:
    assert shared_data.compared(StoredSpace(planned(tmp_path, "EyePACS", "DRIVE"), store)) == []


def test_external_test_leaves_out_what_the_target_trains_on_and_counts_what_a_source_does(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The made datasets have the same pictures, of which every third is a test image of the target."""
    block = BLOCK.format(initialization="EyePACS", target="DRIVE")
    plan = made_space.plan(tmp_path, f"datasets: {{DRIVE: {{test_also: [HRF]}}}}{block}")
    for label in ("DRIVE", "HRF", "EyePACS"):
        made_space.finish(store, unit(plan, label))
    (spec,) = (entry.spec for entry in plan.units.values() if isinstance(entry.spec, Evaluate))
    left_out: set[str] = set()

    def run(spec: Evaluate, inputs: StoreInputs, job: Job) -> dict[str, float]:
        left_out.update(leak.id for leak in inputs.leaks if leak.source == "HRF")
        return {"miou": 0.5}

    monkeypatch.setattr(leak_guard, "run_unit", run)
    options = RunOptions("made", str(store.root), cache=tmp_path / "cache")
    inputs = StoreInputs(store, options, spec.inputs())
    metrics = leak_guard.evaluate_guarded(spec, inputs, Job(tmp_path / "job", tmp_path / "checkpoints"))
    trained = {f"image-{number:03d}" for number in range(30) if number % 3}
    assert trained <= left_out
    assert metrics["removed_images"] == len(left_out)
    assert metrics["images_of_source"] <= 30 - len(left_out)
    recorded = read_json(tmp_path / "job" / leak_guard.RECORD)["pairs"]
    pairs = [(pair["source"], pair["target"], pair["images"], pair["against"]) for pair in recorded]
    assert pairs == [("HRF", "DRIVE", 30, 20), ("HRF", "EyePACS", 30, 20)]
