"""What a publisher says that cannot be true is refused by name, and puts its batch into quarantine."""

import time
from dataclasses import replace
from pathlib import Path

import laboratories
import pytest
from laboratories import Laboratory, forge

from grid import pull as pull_command
from grid.registry.folder import Registry
from grid.registry.pull import refused_batches
from grid.registry.records import Batch, batch_name, read
from medpt.errors import InputError

DATASET = ("name", "licence", "terms")


@pytest.mark.parametrize("name", ["../../evil.json", "/etc/evil.json", "weights.pkl", "scores.npz"])
def test_artifacts_of_other_names_are_refused(
    name: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("finetune")[0]
    known = laboratories.shared(registry, digest).artifacts
    forge(registry, digest, artifacts={**known, name: known["history.json"]})
    with pytest.raises(InputError, match="no finetune shares an artifact"):
        laboratories.take(second, registry, first)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"status": 1.0}, "no metric is called status"),
        ({"selected": 1.0}, "no metric is called selected"),
        ({"status@HRF": 1.0}, "no metric is called status@HRF"),
        ({"auc": 7.0}, "auc is 7.0; 0 to 1 is accepted"),
        ({"hd95": float("inf")}, "hd95 is inf; a finite number is accepted"),
    ],
)
def test_impossible_metric_is_refused(
    metrics: dict[str, float], message: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    forge(registry, first.digests("finetune")[0], metrics=metrics)
    with pytest.raises(InputError, match=message):
        laboratories.take(second, registry, first)


@pytest.mark.parametrize("seconds", [-1.0, 1e300, float("nan"), float("inf")])
def test_impossible_times_are_refused(
    seconds: float, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    forge(registry, first.digests("finetune")[0], seconds=seconds)
    with pytest.raises(
        InputError, match=r"is no SharedUnit of a registry: `seconds` is .*from 0 is accepted"
    ):
        laboratories.take(second, registry, first)


def forge_batch(registry: Registry, **changes: object) -> str:
    """Replace the batch by one with other values, under a matching hash; return its name."""
    path = next((Path(registry.place) / "batches").iterdir())
    batch = replace(read(Batch, path.read_bytes()), **changes)
    path.unlink()
    registry.write(batch_name(batch.name), batch.content())
    return batch.name


@pytest.mark.parametrize("text", ["", "  ", "Lab\u202eA", "x" * 1001])
@pytest.mark.parametrize("key", ["publisher", "space", "licence", "terms", "name"])
def test_empty_and_unprintable_texts_of_a_batch_are_refused_by_name(
    key: str, text: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    old = read(Batch, next((Path(registry.place) / "batches").iterdir()).read_bytes())
    named = {
        name: replace(dataset, **{key: text}) for name, dataset in old.datasets.items() if key in DATASET
    }
    name = forge_batch(registry, **({"datasets": named} if named else {key: text}))
    with pytest.raises(
        InputError, match=rf"{name}.json is no Batch .*`{key}` is '.*1000 printable"
    ) as refused:
        laboratories.take(second, Registry(registry.place), first)
    assert len(refused.value.problems) == 1


def test_batch_that_states_no_dataset_is_refused_for_that_reason(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    name = forge_batch(registry, datasets={})
    with pytest.raises(
        InputError, match=rf"batch {name[:12]} of First: `datasets` does not state "
    ) as refused:
        laboratories.take(second, Registry(registry.place), first)
    assert "other files" not in str(refused.value)
    assert refused_batches(second.store) == [name]


def test_licences_are_printed_of_the_datasets_that_were_used(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    old = read(Batch, next((Path(registry.place) / "batches").iterdir()).read_bytes())
    (dataset,) = old.datasets.values()
    other = replace(dataset, name="Unused", licence="none of ours")
    forge_batch(registry, datasets={**old.datasets, "1" * 64: other})
    pulled = laboratories.take(second, Registry(registry.place), first)
    lines = "\n".join(pull_command.describe(pulled, second.plan))
    assert f"  ChestXRay2017: {dataset.licence}" in lines
    assert "none of ours" not in lines


def test_batch_from_the_future_is_refused(first: Laboratory, second: Laboratory, registry: Registry) -> None:
    """The latest batch that has a unit counts, so that a false date would win for ever."""
    name = forge_batch(registry, created=time.time() + 1e6)
    with pytest.raises(InputError, match=r"`created` is .*, in the future; up to "):
        laboratories.take(second, Registry(registry.place), first)
    assert refused_batches(second.store) == [name]


def test_unit_that_took_longer_than_since_1970_is_refused(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    name = forge(registry, first.digests("finetune")[0], seconds=9e10)
    with pytest.raises(InputError, match=r"`seconds` is 90000000000.0, more than since 1970"):
        laboratories.take(second, registry, first)
    assert refused_batches(second.store) == [name]


@pytest.mark.parametrize(
    "peak", [{"gpus": "all"}, {"gpus": 0}, {"device": 1}, {"cpu": 7}, {"resident": -1.0}, {"step": "\u200b"}]
)
def test_peak_that_no_unit_has_is_refused(
    peak: dict[str, object], first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    """Costs and shares of GPUs are computed from it."""
    forge(registry, first.digests("finetune")[0], peak=peak)
    with pytest.raises(InputError, match=r"is no SharedUnit of a registry: .*is accepted"):
        laboratories.take(second, registry, first)


@pytest.mark.parametrize(
    "changes",
    [{"kind": "pretrain"}, {"version": 7}, {"digest": "0" * 64}],
    ids=lambda changes: next(iter(changes)),
)
def test_document_of_another_unit_is_refused(
    changes: dict[str, object], first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    name = forge(registry, first.digests("finetune")[0], **changes)
    with pytest.raises(InputError, match=r"is the document of another unit \(.*version 1 is accepted"):
        laboratories.take(second, registry, first)
    assert refused_batches(second.store) == [name]
