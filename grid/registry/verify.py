"""Pulled units are verified by recomputation: which of them, and what counts as the same result.

On the same type of CPU with the same versions, every metric, array and weight has to be equal to the last
bit. Elsewhere rounding differs, and training amplifies it: there a metric may differ by TOLERANCE, and
steps, which jump by whole evaluations, are not compared. Prepared data are numbers of images, which are
always equal.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grid.plan.plan import Unit
from grid.registry.publish import NUMERIC
from grid.registry.records import SharedUnit
from grid.registry.staging import StagedUnit
from grid.store.records import Marker
from medpt import files
from medpt.data.manifest import COUNTS, Manifest
from medpt.specs import SPECS

TOLERANCE = 0.05  # of metrics, most of which are fractions: about three seeds' deviations on small test sets
UNSTABLE = ("steps", "best_step", "steps_to_95", "dense_steps_to_95", "images_seen")
DECIDING = ("Python", *NUMERIC)  # the versions on which the last bit depends


def sample(units: Sequence[Unit], share: float, seed: int) -> list[Unit]:
    """Draw a share of the units of each kind, at least one, without those that prepare data.

    Data are prepared here where the drawn units need them, and compared then.
    """
    import random

    by_kind = defaultdict[str, list[Unit]](list)
    for unit in sorted(units, key=lambda unit: unit.digest):
        by_kind[unit.kind].append(unit)
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    computing = {kind: found for kind, found in by_kind.items() if not SPECS[kind].makes_data}
    return [
        unit
        for found in (computing or by_kind).values()
        for unit in generator.sample(found, max(1, round(share * len(found))))
    ]


def is_same_machine(claimed: StagedUnit, recomputed: Marker, versions: Mapping[str, str]) -> bool:
    """Whether a result has to be equal to the last bit."""
    cpus, steps = (
        [peak.get(key) for peak in (claimed.unit.peak, recomputed.peak)] for key in ("cpu", "step")
    )
    on_gpu = "device" in claimed.unit.peak or "device" in recomputed.peak
    same_versions = all(claimed.batch.versions.get(name) == versions.get(name) for name in DECIDING)
    same_cpus = cpus[0] is not None and cpus[0] == cpus[1] and steps[0] == steps[1]
    return same_cpus and not on_gpu and same_versions


def differences(
    claimed: StagedUnit, recomputed: Marker, folder: Path, versions: Mapping[str, str]
) -> list[str]:
    """Return what differs between a pulled unit and the same unit computed here, with both numbers.

    `folder` has the artifacts that were computed here, `versions` are those of this installation.
    """
    if SPECS[recomputed.kind].makes_data or is_same_machine(claimed, recomputed, versions):
        metrics = _metric_differences(claimed.unit, recomputed, 0.0, ())
        return [*metrics, *_file_differences(claimed, folder)]
    return list(_metric_differences(claimed.unit, recomputed, TOLERANCE, UNSTABLE))


def _metric_differences(
    claimed: SharedUnit, recomputed: Marker, tolerance: float, ignored: Sequence[str]
) -> Iterator[str]:
    for name in sorted({*claimed.metrics, *recomputed.metrics} - set(ignored)):
        one, other = claimed.metrics.get(name), recomputed.metrics.get(name)
        if one is None or other is None or not _is_close(one, other, tolerance):
            yield f"{name}: {_text(one)} was published, {_text(other)} was computed here"


def _is_close(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or abs(one - other) <= tolerance * max(1.0, abs(other))


def _text(value: float | None) -> str:
    return "no number" if value is None else repr(value)


def _file_differences(claimed: StagedUnit, folder: Path) -> Iterator[str]:
    """Compare weights byte by byte and arrays by value; histories, which hold times, are not compared."""
    for name in claimed.unit.artifacts:
        pair = claimed.folder / name, folder / name
        if name.endswith(".safetensors") and files.sha256(pair[0]) != files.sha256(pair[1]):
            yield f"{name}: other weights were published than those that were computed here"
        if name == COUNTS and pair[0].read_bytes() != files.json_bytes(Manifest.read(folder).numbers()):
            yield "other images or classes were counted than here"
        if name.endswith(".npz") and not _equal_arrays(*map(_arrays, pair)):
            yield f"{name}: other arrays were published than those that were computed here"


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _equal_arrays(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    import numpy as np

    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one
    )
