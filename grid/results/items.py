"""Per-item results of a finished unit: how much each test item moves its metric.

A unit's `items.npz` (medpt.units), or the `scores.npz` or `risks.npz` of version 0.3.1, which do not know the
patients of images. Segmentation of 0.3.1 stored nothing for each item.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medpt import influence
from medpt.item_metrics import select
from medpt.metrics import image_ious
from medpt.survival.evaluate import concordance_influence
from medpt.survival.study import TEST

Arrays = Mapping[str, NDArray[Any]]

RARE = 10  # test images or patients
AREAS = ("auc", "macro_auc")
OF_CLASSES = {"miou": 0, "foreground_miou": 1, "dice": 1}  # ratios of pixels, from this class on
KEPT = 16_384  # files whose influence values are kept in memory: more than a space of 10,000 units has
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
    `trained` counts the patients that a survival model saw. `rarest` counts the patients, or items where
    these are unknown, of the rarest class on which the metric depends (of survival, death); None where it
    depends on no single class. Below RARE of them intervals are too narrow, and the influence of one alone is
    not known: it is 0 whatever its score.
    """

    influence: NDArray[np.float64]
    patients: NDArray[np.int64] | None
    truth: str
    trained: int | None = None
    rarest: int | None = None

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
        rarest=_rarest(found, metric),
    )


def arrays(file: str | ItemSubset) -> dict[str, NDArray[Any]] | None:
    """Return what is stored of a run's test items, without their ids; None where it cannot be read."""
    try:
        if isinstance(file, ItemSubset):
            whole = arrays(file.path)
            return whole and select(whole, np.frombuffer(file.members, np.bool_))
        return _test_rows(read_archive(file))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def count(file: str | ItemSubset) -> int | None:
    """Return how many test items a run has; None where its file cannot be read."""
    found = arrays(file)
    return len(next(iter(found.values()))) if found else None


def read_archive(path: str | BinaryIO) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file as `numpy.load` does, in two thirds of its time.

    Raises what zipfile, zlib and NumPy raise of other files, and ValueError for arrays of objects.

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


def _rarest(arrays: Arrays, metric: str) -> int | None:
    patients = arrays.get("patients")
    counts = [
        int(np.count_nonzero(side)) if patients is None else len(np.unique(patients[side]))
        for side in _sides(arrays, metric)
    ]
    return min((count for count in counts if count), default=None)


def _sides(arrays: Arrays, metric: str) -> Iterator[NDArray[np.bool_]]:
    """Yield the items (n,) of each class whose values the metric compares with those of other items."""
    labels = arrays.get("labels")
    if metric.startswith("c_index"):
        yield arrays["event"].astype(bool)
    elif metric in OF_CLASSES:
        yield from (arrays["confusions"].sum(2)[:, OF_CLASSES[metric] :] > 0).T
    elif labels is None or metric not in AREAS:
        return
    elif labels.ndim == 1 and metric == "macro_auc":  # the pooled positives of "auc" are of all images
        yield from (labels == name for name in np.unique(labels))
    elif labels.ndim == 2:
        both = labels == 1, labels == 0
        yield from (side.any(1) for side in both) if metric == "auc" else _of_findings(*both)


def _of_findings(present: NDArray[np.bool_], absent: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Yield both sides of each finding (n, K) that has two."""
    for sides in zip(present.T, absent.T, strict=True):
        if all(side.any() for side in sides):
            yield from sides


def _truth(arrays: Arrays) -> str:
    """Hash what is equal in all runs on the same items: labels, target pixels or follow-up, and patients."""
    found = hashlib.sha256()
    for name in ("labels", "confusions", "time", "event", "patients"):
        if name in arrays:
            values = arrays[name].sum(2) if name == "confusions" else arrays[name]
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
