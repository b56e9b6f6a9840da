"""The unit `image_free`: a target's test set, predicted without a look at its images.

A dataset whose labels can be read off the size of its files or the order of its ids rewards networks that see
such traces. These scores are what a network has to exceed.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.arrays import Loader
from medpt.data.file_facts import FILE_FACTS
from medpt.data.manifest import Index
from medpt.data.splits import strata, stratified_order
from medpt.files import write_json
from medpt.metrics import confusion_matrix
from medpt.specs import ImageFree
from medpt.survival.controls import CHANCE, image_free_scores, last_number
from medpt.tasks.findings import image_metrics
from medpt.tasks.linear import macro_auc_of_known
from medpt.tasks.patients import mean_by_patient
from medpt.tasks.segment import segmentation_metrics
from medpt.units.base import SCAN_BATCH, Inputs, Job

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

Floats = NDArray[np.float64]

CHOSEN = "image_free.json"
TRIVIAL = "trivial"  # before the names of the metrics of the trivial predictor
ORDER, NUMBER, GREY, MASK = "order of files", "number in the id", "mean grey", "mean training mask"
LEAVES = (2, 4, 8, 16)
FOLDS = 5
CLOSE = 0.03  # of AUC


def run(spec: ImageFree, inputs: Inputs, job: Job) -> dict[str, float]:
    """Score the trivial predictor, and the best one that does not look at the images.

    That is a decision tree on one number of each image, chosen with its size by cross-validation within the
    training set; for masks the mean training mask. Writes image_free.json: `chosen`, and the macro AUC of
    each number in the cross-validation and on the test set. The metrics are those of the task, as fractions:
    METRIC of the chosen predictor, and trivial_METRIC of the trivial one, which predicts the class prior, or
    background everywhere.

    Of a cohort (`spec.splits`) the numbers are those of medpt.survival.controls, each in a Cox regression;
    the metrics are c_index and trivial_c_index, of a median risk for everybody, as means over the splits.
    """
    if spec.splits is not None:
        report = image_free_scores(inputs.cohort(spec.data), spec.splits)
        chosen = _choose(report)
        write_json(job.folder / CHOSEN, {"chosen": chosen, "numbers": report})
        return {"c_index": report[chosen]["test"], f"{TRIVIAL}_c_index": CHANCE}
    loader = inputs.loader(spec.data)
    images = partial(_predict_classes, by=spec.evaluate_by)
    predict = _predict_masks if loader.index.task == "segmentation" else images
    chosen, report, metrics = predict(loader)
    write_json(job.folder / CHOSEN, {"chosen": chosen, "numbers": report})
    return metrics


Prediction = tuple[str, dict[str, dict[str, float]], dict[str, float]]


def _predict_classes(loader: Loader, by: str | None) -> Prediction:
    index = loader.index
    train, test = index.rows("train"), index.rows("test")
    labels, classes = index.labels, len(index.classes)
    prior = np.tile(_prior(labels[train], classes), (len(test), 1))
    patients = index.groups[test] if by else test
    trivial = {f"{TRIVIAL}_{n}": value for n, value in _metrics(prior, labels[test], patients)}
    report, scores = {}, {}
    for name, values in numbers(loader):
        area, scores[name] = _tree_scores(values[:, None], index, train, test)
        report[name] = {"validation": area, "test": _area(scores[name], labels[test])}
    chosen = _choose(report)
    return chosen, report, dict(_metrics(scores[chosen], labels[test], patients)) | trivial


def _metrics(scores: Floats, labels: NDArray[Any], patients: NDArray[Any]) -> Iterator[tuple[str, float]]:
    return image_metrics(*mean_by_patient(scores, labels, patients))


def _choose(report: Mapping[str, Mapping[str, float]]) -> str:
    """Return the number with the highest AUC in the cross-validation.

    Among those that are no more than CLOSE below it, which one is best is noise: the test set decides, to the
    advantage of the control.
    """
    highest = max(entry["validation"] for entry in report.values())
    close = [name for name, entry in report.items() if entry["validation"] >= highest - CLOSE]
    return max(close, key=lambda name: report[name]["test"])


def numbers(loader: Loader) -> Iterator[tuple[str, Floats]]:
    """Yield the names and values (N,) of what is known of each image without its content; nan where unknown.

    `order of files` is the place of an image in its split, from 0 to 1, by the name of its file without its
    folder, which often is the class. Numbers that are the same for all images are excluded.
    """
    index = loader.index
    ids: list[str] = index.ids.tolist()
    order = np.empty(len(index))
    for split in np.unique(index.splits):
        rows = sorted(index.rows(split).tolist(), key=lambda row: ids[row].rpartition("/")[2])
        order[rows] = np.linspace(0, 1, len(rows))
    found = {ORDER: order, NUMBER: np.array([last_number(name.rpartition("/")[2]) for name in ids])}
    found |= dict(zip(FILE_FACTS, index.files.T, strict=True)) if index.files is not None else {}
    found[GREY] = _mean_grey(loader)
    for name, values in found.items():
        if len(np.unique(values)) > 1:
            yield name, values


def _mean_grey(loader: Loader) -> Floats:
    rows = np.arange(len(loader.index))
    batches = loader.scan(rows, SCAN_BATCH)
    return np.concatenate(
        [images.float().mean(dim=(1, 2, 3)).cpu().double().numpy() for images, _ in batches]
    )


def _prior(labels: NDArray[Any], classes: int) -> Floats:
    if labels.ndim == 2:
        return np.nan_to_num(np.nanmean(labels, axis=0), nan=0.5).astype(np.float64)
    return np.bincount(labels, minlength=classes) / len(labels)


def _tree_scores(
    values: Floats, index: Index, train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[float, Floats]:
    """Return the macro AUC of a tree in cross-validation, and its scores (N, K) of the test set.

    The number of leaves is the one of the highest macro AUC. Folds keep the images of a patient together.
    """
    labels, classes = index.labels[train], len(index.classes)
    folds = _folds(strata(labels), index.groups[train])
    areas = []
    for leaves in LEAVES:
        guesses = np.zeros((len(train), classes))
        for fold in range(FOLDS):
            held = folds == fold
            if held.any() and not held.all():
                model = _Trees(values[train[~held]], labels[~held], classes, leaves)
                guesses[held] = model.scores(values[train[held]])
        areas.append(_area(guesses, labels))
    best = int(np.argmax(areas))
    return areas[best], _Trees(values[train], labels, classes, LEAVES[best]).scores(values[test])


def _folds(classes: NDArray[np.int64], groups: NDArray[Any]) -> NDArray[np.int64]:
    """Number the fold of each row; the groups are spread over the folds in random order, class by class."""
    names, group_of = np.unique(groups, return_inverse=True)
    of_group = np.zeros(len(names), dtype=np.int64)
    np.maximum.at(of_group, group_of, classes)
    fold = np.empty(len(names), dtype=np.int64)
    fold[stratified_order(of_group, np.random.default_rng(0))] = np.arange(len(names)) % FOLDS
    return fold[group_of]


def _area(scores: Floats, labels: NDArray[Any]) -> float:
    area = macro_auc_of_known(scores, labels)
    return 0.0 if np.isnan(area) else area


class _Trees:
    """A decision tree, or one for each class where an image can have several."""

    def __init__(self, values: Floats, labels: NDArray[Any], classes: int, leaves: int) -> None:
        self.classes = classes
        columns = [labels] if labels.ndim == 1 else list(labels.T)
        self.several = labels.ndim == 2
        self.trees = [self._fit(values, column, leaves) for column in columns]

    @staticmethod
    def _fit(values: Floats, labels: NDArray[Any], leaves: int) -> "DecisionTreeClassifier":
        from sklearn.tree import DecisionTreeClassifier

        known = ~np.isnan(labels.astype(np.float64))
        tree = DecisionTreeClassifier(max_leaf_nodes=leaves, min_samples_leaf=2, random_state=0)
        return tree.fit(values[known], labels[known].astype(np.int64))

    def scores(self, values: Floats) -> Floats:
        """Return probabilities (N, K)."""
        if not self.several:
            found = np.zeros((len(values), self.classes))
            found[:, self.trees[0].classes_] = self.trees[0].predict_proba(values)
            return found
        having = [tree.predict_proba(values) @ (tree.classes_ == 1) for tree in self.trees]
        return np.stack(having, axis=1)


def _predict_masks(loader: Loader) -> Prediction:
    index = loader.index
    size, classes = index.size, len(index.classes)
    counts = np.zeros((classes, size, size))
    for _, masks in loader.scan(index.rows("train"), SCAN_BATCH):
        for k in range(classes):
            counts[k] += (masks == k).sum(0).cpu().numpy()
    guess = counts.argmax(0)
    confusions = np.stack(
        [
            confusion_matrix(guess, mask, classes)
            for _, masks in loader.scan(index.rows("test"), SCAN_BATCH)
            for mask in masks.cpu().numpy()
        ]
    )
    background = np.zeros_like(confusions)
    background[:, :, 0] = confusions.sum(2)
    trivial = {f"{TRIVIAL}_{name}": value for name, value in segmentation_metrics(background, finite=True)}
    return MASK, {}, dict(segmentation_metrics(confusions, finite=True)) | trivial
