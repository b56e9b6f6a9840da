"""Per-item results of a finished unit: how much each test item moves its metric.

A unit's `items.npz` (medpt.units), or the `scores.npz` or `risks.npz` of version 0.3.1, which do not know the
patients of images. Segmentation of 0.3.1 stored nothing for each item.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt import influence
from medpt.item_metrics import select
from medpt.metrics import image_ious
from medpt.survival.evaluate import concordance_influence
from medpt.survival.study import TEST

Arrays = Mapping[str, NDArray[Any]]

RARE = 10  # test images
KEPT = 8192  # files whose influence values are kept in memory
VERSION_1 = b"\x93NUMPY\x01\x00"

Influence = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]


def _auc(arrays: Arrays, of_classes: Influence, of_findings: Influence) -> NDArray[np.float64]:
    """Take the influence on an AUC of one class an image, or of several findings."""
    labels = arrays["labels"]
    return (of_findings if labels.ndim == 2 else of_classes)(arrays["scores"], labels)


INFLUENCES: dict[str, Callable[[Arrays], NDArray[np.float64]]] = {  # by the metric's column in the frame
    "auc": lambda a: _auc(a, influence.micro_auc_influence, influence.findings_micro_auc_influence),
    "macro_auc": lambda a: _auc(a, influence.macro_auc_influence, influence.findings_macro_auc_influence),
    "kappa": lambda a: influence.quadratic_kappa_influence(a["scores"], a["labels"]),
    "accuracy": lambda a: influence.mean_influence((a["scores"].argmax(1) == a["labels"]).astype(np.float64)),
    "miou": lambda a: influence.mean_iou_influence(a["confusions"]),
    "foreground_miou": lambda a: influence.foreground_iou_influence(a["confusions"]),
    "dice": lambda a: influence.mean_dice_influence(a["confusions"]),
    "image_miou": lambda a: influence.mean_influence(image_ious(a["confusions"])),
    "c_index": lambda a: concordance_influence(a["time"], a["event"], a["risk"]),
    "c_index_ipcw": lambda a: concordance_influence(a["time"], a["event"], a["risk"], a["weight"]),
    "integrated_brier": lambda a: influence.mean_influence(a["error"]),
}


@dataclass(frozen=True)
class TestItems:
    """The n test items of one run.

    `influence` (n,) on the metric is in points; `patients` (n,) numbers their patients, None where these are
    unknown. `truth` is a hash of the labels and patients: equal for runs that were tested on the same items.
    `trained` counts the patients that a survival model saw. `has_rare_class`: of masks, a class occurs in
    fewer than RARE images, which makes intervals too narrow. `has_single_item`: one of two classes has one
    item, whose influence cannot be known.
    """

    influence: NDArray[np.float64]
    patients: NDArray[np.int64] | None
    truth: str
    trained: int | None = None
    has_rare_class: bool = False
    has_single_item: bool = False

    @property
    def clusters(self) -> int:
        """Patients, or items where these are unknown."""
        return len(self.influence) if self.patients is None else len(np.unique(self.patients))


@dataclass(frozen=True)
class ItemSubset:
    """The test items of a subgroup in the file of a run; `members` (n,) are the bytes of bools."""

    path: str
    members: bytes


@lru_cache(maxsize=KEPT)
def read(file: str | ItemSubset, metric: str) -> TestItems | None:
    """Return the test items of a run; None where the file cannot be read or has nothing on this metric."""
    found = arrays(file) if metric in INFLUENCES else None
    if found is None:
        return None
    try:
        values = 100 * INFLUENCES[metric](found)
    except (ValueError, KeyError, IndexError):
        return None
    trained = found.get("trained")
    return TestItems(
        influence=values,
        patients=found.get("patients"),
        truth=_truth(found),
        trained=None if trained is None else int(trained),
        has_rare_class=_has_rare_class(found),
        has_single_item=_has_single_item(found),
    )


def arrays(file: str | ItemSubset) -> dict[str, NDArray[Any]] | None:
    """Return what is stored of a run's test items, without their ids; None where it cannot be read."""
    try:
        if isinstance(file, ItemSubset):
            whole = arrays(file.path)
            return whole and select(whole, np.frombuffer(file.members, np.bool_))
        return _test_rows(_stored(file))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def count(file: str | ItemSubset) -> int | None:
    """Return how many test items a run has; None where its file cannot be read."""
    found = arrays(file)
    return len(next(iter(found.values()))) if found else None


def _stored(path: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file as `numpy.load` does, in two thirds of its time.

    It evaluates the header of each array as Python text; those of thousands of files are a few that repeat.
    """
    with zipfile.ZipFile(path) as file:
        contents = {name.removesuffix(".npy"): file.read(name) for name in file.namelist()}
    return {name: _parsed(content) for name, content in contents.items()}


def _parsed(content: bytes) -> NDArray[Any]:
    if content[:8] != VERSION_1:
        raise ValueError("an array of another format of numpy")
    end = 10 + int.from_bytes(content[8:10], "little")
    shape, in_columns, kind = _header(content[8:end])
    values = np.frombuffer(content, kind, offset=end)
    return values.reshape(shape, order="F" if in_columns else "C")


@lru_cache(maxsize=KEPT)
def _header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    shape, in_columns, kind = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    if kind.hasobject:
        raise ValueError("objects are not read")
    return shape, in_columns, kind


def _test_rows(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Keep the test patients of a risks.npz of version 0.3.1, and no names."""
    if "part" in arrays:
        tested = arrays["part"] == TEST
        rows = {name: arrays[name][tested] for name in ("time", "event", "risk")}
        return rows | {"trained": np.array(np.count_nonzero(~tested))}
    return {name: values for name, values in arrays.items() if name != "ids"}


def _has_rare_class(arrays: Arrays) -> bool:
    if "confusions" not in arrays:
        return False
    images = (arrays["confusions"].sum(2) > 0).sum(0)
    return bool(((images > 0) & (images < RARE)).any())


def _has_single_item(arrays: Arrays) -> bool:
    labels = arrays.get("labels")
    if labels is None or labels.ndim != 1:
        return False
    counts = np.unique(labels, return_counts=True)[1]
    return bool(len(counts) == 2 and counts.min() == 1)


def _truth(arrays: Arrays) -> str:
    """Hash what is equal in all runs on the same items: labels, target pixels or follow-up, and patients."""
    found = hashlib.sha256()
    for name in ("labels", "confusions", "time", "event", "patients"):
        if name in arrays:
            values = arrays[name].sum(2) if name == "confusions" else arrays[name]
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
