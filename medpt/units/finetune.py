"""The unit `finetune`: a network trained on a target from given weights, and tested.

The test set is seen once, by the weights that were best on the validation set. The encoder is transferred
completely or not at all. Metrics are equal for equal seeds and contain no times.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from medpt import extensions
from medpt.data.arrays import Loader
from medpt.data.splits import subset
from medpt.errors import InputError
from medpt.files import write_arrays
from medpt.further_metrics import (
    MOST_CLASSES,
    further_class_metrics,
    further_finding_metrics,
    further_mask_metrics,
)
from medpt.metrics import image_ious
from medpt.models import weights
from medpt.normalisation import IMAGENET
from medpt.specs import Finetune, Frozen, UnitSpec
from medpt.tasks import supervised
from medpt.tasks.base import TrainingSetup
from medpt.tasks.classify import scores
from medpt.tasks.findings import finding_scores, image_metrics
from medpt.tasks.patients import mean_by_patient
from medpt.tasks.segment import confusions, full_frame_miou, outlines, predictions, segmentation_metrics
from medpt.train import evaluation_batches, summary
from medpt.trained_network import save_network
from medpt.units.base import ITEMS, Files, Inputs, Job, Tested, Weights
from medpt.units.pretrain import stored_summary, train

if TYPE_CHECKING:
    from torch import nn

SCORES, PREDICTIONS = "scores.npz", "predictions.npz"
FIRST, EXTREMES = 2, 2  # test images whose prediction is kept for the report: the first, best and worst ones


def run(spec: Finetune, inputs: Inputs, job: Job) -> dict[str, float]:
    """Train on the target and return the metrics of its test set, as fractions.

    Writes history.json (rows of medpt.train.fit), early.json (those of its early evaluations), record.json
    (class weights, sizes) and, for classification, scores.npz (scores (N, K) float32, labels, ids of the test
    set), for segmentation predictions.npz (ids, image, target, prediction uint8 of `example_rows`). items.npz
    has the `scores` and `labels`, or the `confusions` (N, K, K), of the test set in the order of its rows,
    and the number of each row's patient in `patients`; with `spec.evaluate_by` a row is a patient. If the job
    says so, it also writes the network itself (medpt.trained_network).

    The metrics are those of the task on the test set (of images cut around a point also full_frame_miou),
    steps, best_step and, if a validation set could be held out, val_METRIC, steps_to_95 and
    dense_steps_to_95.

    With `spec.transfer_decoder` all of the decoder but the logits starts from the given weights as well.
    Raises InputError if specification, weights and data do not fit together, DivergedError from training.
    """
    extensions.require(spec.extensions)
    loader, initial = inputs.loader(spec.data), inputs.weights(spec)
    setup = supervised.set_up(loader, training_rows(spec, loader), spec)
    setup = replace(setup, normalisation=spec.normalisation or IMAGENET, early=True)
    if initial is not None:
        weights.transfer_encoder(setup.model, initial)
    if spec.transfer_decoder:
        transfer_decoder(setup.model, initial or {}, spec)
    result = train(setup, spec, job)
    if job.keeps_network:
        settings = result.settings
        save_network(job.folder, setup.model, loader.index, channels_last=settings.channels_last)
    metrics = test_network(setup, loader, job, spec.evaluate_by)
    if loader.index.task == "segmentation":
        with np.load(job.folder / ITEMS) as items:
            rows = example_rows(items["confusions"])
        _write_examples(setup, loader, loader.index.rows("test")[rows], job)
    return metrics | summary(result, setup.task)


def transfer_decoder(model: "nn.Module", initial: Weights, spec: Finetune) -> None:
    """Copy the decoder of `initial`; InputError unless it is one of the same architecture."""
    expected, given = (
        {name for name in state if not name.startswith((weights.ENCODER, weights.LOGITS))}
        for state in (model.state_dict(), initial)
    )
    if expected != given:
        raise InputError(
            f"transfer_decoder: the weights of {spec.initialization} have no decoder of {spec.architecture}: "
            f"{len(expected - given)} of its {len(expected)} tensors are missing, "
            f"{len(given - expected)} are unexpected"
        )
    weights.transfer_decoder(model, initial)


def training_rows(spec: Finetune | Frozen, loader: Loader) -> np.ndarray:
    """Return the rows of the training set, or of its nested subset that `target_size` and the seed name."""
    index = loader.index
    rows, test = index.rows("train"), index.rows("test")
    if not len(rows) or not len(test):
        raise InputError(
            f"{index.dataset}: {len(rows)} training and {len(test)} test images; both are needed"
        )
    return rows[subset(supervised.labels(index, rows), index.groups[rows], spec.target_size, spec.seed)]


def test_network(setup: TrainingSetup, loader: Loader, job: Job, by: str | None) -> dict[str, float]:
    """Test the network of a setup on the test rows of `loader`, write their items, and return the metrics."""
    if loader.index.task == "segmentation":
        return _test_segmenter(setup, loader, job)
    return _test_images(setup, loader, job, by)


def _test_images(setup: TrainingSetup, loader: Loader, job: Job, by: str | None) -> dict[str, float]:
    batches = _batches(setup, loader.index.rows("test"), job)
    findings = loader.index.task == "multilabel"
    found, _ = finding_scores(setup.model, batches) if findings else scores(setup.model, batches)
    return test_scores(found, loader, job, by, setup.task.metric)


def test_scores(
    found: np.ndarray, loader: Loader, job: Job, by: str | None, headline: str
) -> dict[str, float]:
    """Write scores (N, K) of the test images to scores.npz and items.npz, and return their metrics.

    With `by`, items and metrics are those of patients. `headline` is as in classification_metrics.
    """
    index, rows = loader.index, loader.index.rows("test")
    labels, patients = index.labels[rows], _patients(loader, rows)
    write_arrays(job.folder / SCORES, {"scores": found, "labels": labels, "ids": index.ids[rows]})
    if by:
        found, labels = mean_by_patient(found, labels, patients)
        patients = np.arange(len(found))
    write_arrays(job.folder / ITEMS, {"scores": found, "labels": labels, "patients": patients})
    return image_test_metrics(found, labels, Tested(index.classes, headline))


def image_test_metrics(found: np.ndarray, labels: np.ndarray, tested: Tested) -> dict[str, float]:
    """Return the metrics of scores (N, K); labels are (N,), or (N, K) of images with several findings."""
    of_kind = further_finding_metrics if labels.ndim == 2 else further_class_metrics
    further = of_kind(found, labels, tested.classes)
    return dict(image_metrics(found, labels, tested.headline)) | dict(further)


def mask_test_metrics(matrices: np.ndarray, classes: tuple[str, ...], *, finite: bool) -> dict[str, float]:
    """Return the metrics of the confusion matrices of images (N, K, K)."""
    metrics = dict(segmentation_metrics(matrices, finite))
    few = finite and len(classes) <= MOST_CLASSES
    return metrics | (dict(further_mask_metrics(matrices, classes)) if few else {})


def stored_metrics(spec: UnitSpec, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that items.npz and, of a fine-tuning, the histories determine."""
    found = {}
    if items := files.get(ITEMS):
        if "confusions" in items:
            found[ITEMS] = mask_test_metrics(items["confusions"], tested.classes, finite=True)
        else:
            found[ITEMS] = image_test_metrics(items["scores"], items["labels"], tested)
    if isinstance(spec, Finetune):
        found |= stored_summary(files, spec.protocol, tested.headline)
    return found


def _test_segmenter(setup: TrainingSetup, loader: Loader, job: Job) -> dict[str, float]:
    rows = loader.index.rows("test")
    matrices, finite = confusions(setup.model, _batches(setup, rows, job))
    write_arrays(job.folder / ITEMS, {"confusions": matrices, "patients": _patients(loader, rows)})
    classes = loader.index.classes
    metrics = mask_test_metrics(matrices, classes, finite=finite)
    if finite and len(classes) <= MOST_CLASSES:
        metrics |= outlines(setup.model, _batches(setup, rows, job), len(classes))
    if loader.index.outside is None:
        return metrics
    outside = loader.index.outside[rows].sum(0)
    return metrics | {"full_frame_miou": full_frame_miou(setup.model, _batches(setup, rows, job), outside)}


def _batches(setup: TrainingSetup, rows: np.ndarray, job: Job) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    return evaluation_batches(setup.loader, rows, torch.device(job.device), setup.normalisation)


def _patients(loader: Loader, rows: np.ndarray) -> np.ndarray:
    """Number the patients of these rows from 0; nobody can be identified by the numbers."""
    return np.unique(loader.index.groups[rows], return_inverse=True)[1]


def example_rows(confusions: np.ndarray) -> np.ndarray:
    """Return the first test images, those of the highest mean IoU and those of the lowest, each once."""
    ranked = np.argsort(-image_ious(confusions), kind="stable")
    chosen = [*range(min(FIRST, len(ranked))), *ranked[:EXTREMES], *ranked[-EXTREMES:]]
    return np.array(list(dict.fromkeys(chosen)))


def _write_examples(setup: TrainingSetup, loader: Loader, rows: np.ndarray, job: Job) -> None:
    images, targets = (
        torch.cat(batches).cpu().numpy() for batches in zip(*loader.scan(rows, len(rows)), strict=True)
    )
    predicted = predictions(setup.model, _batches(setup, rows, job))
    ids = loader.index.ids[rows]
    arrays = {"ids": ids, "image": images, "target": targets, "prediction": predicted}
    write_arrays(job.folder / PREDICTIONS, arrays)
