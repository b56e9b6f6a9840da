"""Each kind of unit, run: what it reads from the store, and the function of medpt that does it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import gethostname
from typing import Any

from grid.execution import leak_guard
from grid.execution.allocation import usable_share
from grid.options import RunOptions
from grid.plan.planner import Unit
from grid.store.store import Store
from medpt import files
from medpt.data.leakage import FilteredLoader, Leak, left_out
from medpt.errors import InputError
from medpt.models.weights import published_name
from medpt.specs import Coordinates, Features, Filters, Finetune, Pretrain, Survive, Svcca


def _pretrain(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    spec = unit.spec
    assert isinstance(spec, Pretrain)  # noqa: S101 - for the type checker
    if not spec.guards:
        return _pretrain_without((), unit, store, options, gpu_share, folder)
    compared = leak_guard.pairs(spec, store, options.cache_folder(store))
    found = [leak for pair in compared for leak in pair.found]
    same = spec.unguarded.digest
    if same in unit.needs and not found:
        metrics = leak_guard.take_over(same, store, folder)
    else:
        metrics = _pretrain_without(found, unit, store, options, gpu_share, folder)
    files.write_json(folder / leak_guard.RECORD, leak_guard.record(compared))
    return metrics | {"leaked_images": float(len(found))}


def _pretrain_without(
    found: Sequence[Leak], unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import pretrain

    spec = unit.spec
    assert isinstance(spec, Pretrain)  # noqa: S101 - for the type checker
    device = _device(gpu_share)
    feeds = [_feed(store, options, digest, device) for digest in spec.data]
    if found:
        feeds = [FilteredLoader(feed, left_out(found, feed.index)) for feed in feeds]
    return pretrain.run(spec, feeds, folder, **_training(unit, store, options, device))


def _finetune(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import finetune

    spec = unit.spec
    assert isinstance(spec, Finetune)  # noqa: S101 - for the type checker
    device = _device(gpu_share)
    feed = _feed(store, options, spec.data, device)
    initial = _initial(spec, unit, store, options)
    return finetune.run(spec, feed, folder, initial=initial, **_training(unit, store, options, device))


def _features(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import survive

    spec = unit.spec
    assert isinstance(spec, Features)  # noqa: S101 - for the type checker
    initial = _initial(spec, unit, store, options)
    return survive.run_features(spec, _cohort(store, options, spec.data), folder, initial, _device(gpu_share))


def _survive(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import survive

    spec = unit.spec
    assert isinstance(spec, Survive)  # noqa: S101 - for the type checker
    features = (
        survive.load_features(store.artifact(spec.features, survive.FEATURES)) if spec.features else None
    )
    initial = _initial(spec, unit, store, options)
    return survive.run(
        spec, _cohort(store, options, spec.data), features, folder, initial, _device(gpu_share)
    )


def _cohort(store: Store, options: RunOptions, digest: str) -> Any:
    from medpt.survival.cohort import open_cohort

    return open_cohort(store.whole(digest), options.cache_folder(store) / digest)


def _coordinates(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import svcca

    spec = unit.spec
    assert isinstance(spec, Coordinates)  # noqa: S101 - for the type checker
    device = _device(gpu_share)
    return svcca.run_coordinates(spec, _feed(store, options, spec.data, device), folder, device)


def _svcca(unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path) -> dict[str, float]:
    from medpt.units import svcca

    spec = unit.spec
    assert isinstance(spec, Svcca)  # noqa: S101 - for the type checker
    device = _device(gpu_share)
    feeds = [_feed(store, options, digest, device) for digest in spec.probes]
    return svcca.run_svcca(spec, feeds, *_before_and_after(spec, unit, store, options), folder, device)


def _filters(
    unit: Unit, store: Store, options: RunOptions, gpu_share: float, folder: Path
) -> dict[str, float]:
    from medpt.units import svcca

    spec = unit.spec
    assert isinstance(spec, Filters)  # noqa: S101 - for the type checker
    return svcca.run_filters(spec, *_before_and_after(spec, unit, store, options), folder)


def _before_and_after(
    spec: Svcca | Filters, unit: Unit, store: Store, options: RunOptions
) -> tuple[Any, Any]:
    """A pre-training keeps the weights that it began with; of published ones nobody has them."""
    from medpt.models import weights
    from medpt.units import svcca

    after = _initial(spec, unit, store, options)
    if spec.weights in unit.needs:
        return weights.load(store.artifact(spec.weights, "init.safetensors")), after
    return svcca.random_weights(spec.backbone, spec.seed), after


RUNNERS: dict[str, Callable[[Unit, Store, RunOptions, float, Path], dict[str, float]]] = {
    "pretrain": _pretrain,
    "finetune": _finetune,
    "features": _features,
    "survive": _survive,
    "coordinates": _coordinates,
    "svcca": _svcca,
    "filters": _filters,
}

Starting = Finetune | Features | Survive | Svcca | Filters  # what may begin from weights


def _initial(spec: Starting, unit: Unit, store: Store, options: RunOptions) -> dict[str, Any] | None:
    from medpt.models import weights

    if spec.weights is None:
        return None
    if spec.weights in unit.needs:
        return weights.load(store.artifact(spec.weights, "best.safetensors"))
    return weights.published(spec.backbone, weights_file(options.imagenet_weights, spec.backbone))


def weights_file(folder: Path | None, backbone: str) -> Path | None:
    """torchvision's file of that backbone in the folder of --imagenet-weights, if one was given."""
    return folder / published_name(backbone) if folder else None


def _training(unit: Unit, store: Store, options: RunOptions, device: str) -> dict[str, Any]:
    return {
        "checkpoints": store.checkpoints(unit.digest),
        "device": device,
        "checkpoint_seconds": options.checkpoint_seconds,
        "on_row": live(store.live(unit.digest)),
    }


def live(path: Path) -> Callable[[dict[str, float]], None]:
    """Appends each row of metrics for whoever follows the unit; a new execution starts afresh."""
    path.parent.mkdir(parents=True, exist_ok=True)  # a node's own copy of a bucket may have none
    path.unlink(missing_ok=True)

    def append(row: dict[str, float]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return append


def _feed(store: Store, options: RunOptions, digest: str, device: str) -> Any:
    from grid.preparation.loaders import open_loader

    cache = options.cache_folder(store) / digest
    try:
        return open_loader(store.whole(digest), cache, options.cache_bytes, device)
    except InputError:
        store.doubt(digest)
        raise


def _device(gpu_share: float) -> str:
    """The trial's device. OSError where its GPU cannot be used: a CPU would take hours and hold the GPU."""
    import torch

    torch.set_num_threads(1)  # one CPU a trial, and the same sums whatever the machine
    if not gpu_share:
        return "cpu"
    if not torch.cuda.is_available():
        raise OSError(f"PyTorch can use no GPU on {gethostname()}, and the unit was given one of its GPUs")
    torch.cuda.empty_cache()
    size = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(usable_share(gpu_share, size))
    return "cuda"
