"""Whether the metrics of a shared unit are those that its files give, and its items those of its data."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from grid.plan.plan import Plan
from grid.registry.arrays import LONGEST
from grid.registry.artifacts import WEIGHTS
from grid.registry.documents import record_problems
from grid.registry.network_claims import weight_problems
from grid.registry.records import SharedUnit
from grid.results.items import INFLUENCES
from grid.results.stored_space import EARLY, HISTORY, RECORD
from grid.results.test_set_columns import AT
from grid.results.test_sets import KEPT
from grid.space.trials import PAPER_METRICS
from grid.store.store import Store
from medpt.data.catalog import card
from medpt.data.manifest import COUNTS, MANIFEST, Manifest
from medpt.protocol import SELF_SUPERVISED_METHODS
from medpt.specs import SUPERVISED, Evaluate, Finetune, Frozen, Prepare, Pretrain, Survive, UnitSpec
from medpt.units.base import ITEMS, Files, Tested, stored_metrics

RESERVED = frozenset(KEPT)  # columns of the frame that no metric may replace
LEAST = {name: -1 if name == "kappa" else 0 for name in INFLUENCES if name != "integrated_brier"}  # up to 1
MOST_PATIENTS = 10_000  # of a test set: the C-index takes the square of their number in memory
ROUNDING = 1e-6  # of sums of float32 on another processor

Manifests = Callable[[str], Manifest | None]  # what is known of prepared data, by their digest


def claim_problems(unit: SharedUnit, files: Files, plan: Plan, manifests: Manifests) -> Iterator[str]:
    """Yield what cannot be true of a unit whose files are known, of which each is by itself in order."""
    spec = plan.units[unit.digest].spec
    yield from _impossible(unit.metrics)
    yield from _training_problems(spec, files)
    if isinstance(spec, Pretrain) and (states := {name: files[name] for name in WEIGHTS if name in files}):
        datasets = [manifests(digest) for digest in spec.data]
        counts = tuple(len(one.classes) for one in datasets if one is not None)
        yield from weight_problems(spec, states, counts if len(counts) == len(datasets) else None)
    trained = plan.units[spec.network].spec if isinstance(spec, Evaluate) else spec
    tested, items = Tested((), ""), files.get(ITEMS, {})
    if isinstance(trained, Finetune | Frozen | Survive):
        task = card(trained.dataset, plan.cards).task
        headline = getattr(trained, "metric", None) or PAPER_METRICS[task]
        if headline not in unit.metrics:
            yield f"has no {headline}, the headline metric of its task"
        known = manifests(trained.data)
        tested = Tested(known.classes if known else tuple(map(str, range(_classes(items)))), headline)
        if items and (problems := list(_item_problems(spec, items, task, known, manifests))):
            yield from problems
            return
    try:
        stored = stored_metrics(spec, files, tested)
    except Exception as error:  # of crafted values: whatever the functions of a unit raise
        yield f"has files that give no metrics ({type(error).__name__}: {str(error)[:LONGEST]})"
    else:
        yield from _differences(unit.metrics, stored)


def stored_manifest(store: Store, spec: Prepare, batch: str = "") -> Manifest | None:
    """Return the manifest of data that a store has prepared, or pulled from this very batch; else None."""
    if not store.is_finished(spec.digest):
        return None
    origin = store.marker(spec.digest).origin
    if origin is None or MANIFEST not in origin.withheld:
        return Manifest.read(store.artifact(spec.digest, MANIFEST).parent)
    if origin.batch != batch:
        return None
    return Manifest.read_numbers(store.artifact(spec.digest, COUNTS).parent, spec)


def _impossible(metrics: Mapping[str, float]) -> Iterator[str]:
    for name, value in metrics.items():
        if name in RESERVED or AT in name:
            yield f"no metric is called {name}"
        elif math.isinf(value):
            yield f"{name} is {value!r}; a finite number is accepted"
        elif name in LEAST and not (math.isnan(value) or LEAST[name] - 1e-9 <= value <= 1 + 1e-9):
            yield f"{name} is {value!r}; {LEAST[name]} to 1 is accepted"


def _training_problems(spec: UnitSpec, files: Files) -> Iterator[str]:
    """Yield what is wrong with histories and records, given what a unit does."""
    if isinstance(spec, Finetune | Pretrain):
        for name in (HISTORY, EARLY):
            last = max((row["step"] for row in files.get(name, ())), default=0)
            if last > spec.protocol.max_steps:
                yield f"{name} continues to step {last}; up to {spec.protocol.max_steps} is accepted"
    if (
        isinstance(spec, Prepare)
        and (dataset := files.get(COUNTS, {}).get("dataset", spec.dataset)) != spec.dataset
    ):
        yield f"{COUNTS} is of {dataset}; {spec.dataset} is accepted"
    has_known_keys = not isinstance(spec, Pretrain) or spec.method in (SUPERVISED, *SELF_SUPERVISED_METHODS)
    if RECORD in files and has_known_keys:
        yield from (f"{RECORD} {problem}" for problem in record_problems(files[RECORD]))


def _classes(items: Mapping[str, Any]) -> int:
    return next((items[name].shape[1] for name in ("scores", "confusions") if name in items), 0)


def _task(items: Mapping[str, Any]) -> str:
    """Return the task of test items."""
    if "time" in items:
        return "survival"
    if "confusions" in items:
        return "segmentation"
    return "multilabel" if items["labels"].ndim == 2 else "classification"


def _item_problems(
    spec: UnitSpec, items: Mapping[str, Any], task: str, known: Manifest | None, manifests: Manifests
) -> Iterator[str]:
    """Yield how items differ from those of a task and, where it is `known`, from the test set."""
    if _task(items) != task:
        yield f"{ITEMS} is of {_task(items)}; {task} is accepted"
    elif task == "survival":
        if (patients := len(items["time"])) > MOST_PATIENTS:
            yield f"{ITEMS} has {patients:,} patients; at most {MOST_PATIENTS:,} are accepted"
    elif known is not None and (found := _classes(items)) != len(known.classes):
        yield f"{ITEMS} has {found} classes; {known.dataset} has {len(known.classes)}"
    elif known is not None:
        yield from _count_problems(spec, items, known, manifests)


def _count_problems(
    spec: UnitSpec, items: Mapping[str, Any], known: Manifest, manifests: Manifests
) -> Iterator[str]:
    """Yield other numbers of items than in the test set, of which an external one is a part of its data.

    Items that are patients are fewer than images.
    """
    rows, tested = len(items.get("labels", items.get("confusions"))), known.images.get("test", 0)
    is_part = getattr(spec, "evaluate_by", None) is not None
    if isinstance(spec, Evaluate) and spec.corruption is None:
        external = manifests(spec.data)
        is_part, tested = True, sum(external.images.values()) if external else rows
    if rows > tested or (rows < tested and not is_part):
        accepted = f"at most {tested:,}" if is_part else f"{tested:,}"
        yield f"{ITEMS} has {rows:,} test items; {accepted} are accepted, as the data have"
    elif not is_part and (counts := _counts(items, known.classes)) != known.counts.get("test"):
        accepted = _listed(known.counts.get("test", {}))
        yield f"{ITEMS} has {_listed(counts)} in its classes; {accepted} are accepted"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items()))


def _counts(items: Mapping[str, Any], classes: tuple[str, ...]) -> dict[str, int]:
    """Count the images, or pixels, of each class, as counts.json does."""
    import numpy as np

    if "confusions" in items:
        numbers = items["confusions"].sum((0, 2))
    elif items["labels"].ndim == 2:
        numbers = np.count_nonzero(items["labels"] == 1, axis=0)
    else:
        numbers = np.bincount(items["labels"], minlength=len(classes))
    return dict(zip(classes, numbers.tolist(), strict=True))


def _differences(claimed: Mapping[str, float], stored: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield metrics that are not those of the files; versions differ in which further ones they have."""
    for file, metrics in stored.items():
        for name in sorted(metrics.keys() & claimed.keys()):
            if not _is_same(claimed[name], metrics[name]):
                yield f"{name} is {claimed[name]!r}; {metrics[name]!r} follows from its {file}"
    given = {name for metrics in stored.values() for name in metrics}
    for name in sorted((claimed.keys() & INFLUENCES.keys()) - given) if given & INFLUENCES.keys() else ():
        yield f"{name} is {claimed[name]!r}; none follows from its {', '.join(stored)}"


def _is_same(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return abs(one - other) <= ROUNDING * max(1.0, abs(other))
