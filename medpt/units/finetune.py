"""One unit of work: a network trained on a target from given weights, and tested.

Promises: the test part is seen once, by the weights that were best on the validation part; the encoder is
transferred whole or not at all; metrics are equal for equal seeds and hold no times.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from medpt import extensions
from medpt.checkpoint import Checkpoints
from medpt.data.arrays import Loader
from medpt.data.splits import subset
from medpt.errors import InputError
from medpt.files import replacing, write_json
from medpt.models import weights
from medpt.specs import Finetune
from medpt.tasks import supervised
from medpt.tasks.base import TrainingSetup
from medpt.tasks.classify import classification_metrics, scores
from medpt.tasks.segment import full_frame_miou, predictions
from medpt.train import MetricsRow, evaluation_batches, fit, summary
from medpt.units.pretrain import HISTORY, RECORD

if TYPE_CHECKING:
    from torch import Tensor, nn

SCORES, PREDICTIONS = "scores.npz", "predictions.npz"
EXAMPLES = 6  # test images whose prediction is kept for the report


def run(
    spec: Finetune,
    feed: Loader,
    folder: Path,
    *,
    initial: "Mapping[str, Tensor] | None",
    checkpoints: Path,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_row: Callable[[MetricsRow], object] = lambda row: None,
) -> dict[str, float]:
    """Trains on the target and returns the metrics of its test part, as fractions.

    `initial` holds the encoder as `encoder.*`, or is None for random weights; with spec.transfer_decoder
    also the decoder of the same architecture, of which all but the logits is taken. Writes into `folder`
    history.json (rows of medpt.train.fit), record.json (class weights, sizes) and, for classification,
    scores.npz (scores (N, K) float32, labels, ids of the test part), for segmentation predictions.npz (ids,
    image, target, prediction uint8 of the first test images). Goes on from the state in `checkpoints`, which
    the caller removes once the result is recorded. Metrics: those of the task on the test part (of images cut
    around a point also full_frame_miou), steps, best_step and, where a validation part could be cut off,
    val_METRIC and steps_to_95.
    Raises InputError where specification, weights and data do not fit, DivergedError from training.
    """
    extensions.require(spec.extensions)
    work = supervised.set_up(
        feed,
        training_rows(spec, feed),
        backbone=spec.backbone,
        architecture=spec.architecture,
        protocol=spec.protocol,
        seed=spec.seed,
    )
    if initial is not None:
        weights.transfer_encoder(work.model, initial)
    if spec.transfer_decoder:
        transfer_decoder(work.model, initial, spec)
    outcome = fit(
        work,
        spec.protocol,
        spec.seed,
        device=device,
        checkpoints=Checkpoints(checkpoints, checkpoint_seconds),
        on_metrics=on_row,
    )
    write_json(folder / HISTORY, outcome.history)
    write_json(folder / RECORD, work.record)
    return TESTS[feed.index.task](work, feed, torch.device(device), folder) | summary(outcome, work.task)


def transfer_decoder(model: "nn.Module", initial: "Mapping[str, Tensor] | None", spec: Finetune) -> None:
    """weights.transfer_decoder where `initial` holds the decoder of spec.architecture, else InputError."""
    own, given = (
        {name for name in state if not name.startswith((weights.ENCODER, weights.LOGITS))}
        for state in (model.state_dict(), initial or {})
    )
    if own != given:
        raise InputError(
            f"transfer_decoder: the weights of {spec.initialization} have no decoder of {spec.architecture}: "
            f"{len(own - given)} of its {len(own)} tensors are missing, {len(given - own)} are foreign"
        )
    weights.transfer_decoder(model, initial or {})


def training_rows(spec: Finetune, feed: Loader) -> np.ndarray:
    """The training part, or the nested subset of it that spec.target_size and the seed name."""
    index = feed.index
    rows, test = index.rows("train"), index.rows("test")
    if not len(rows) or not len(test):
        raise InputError(
            f"{index.dataset}: {len(rows)} training and {len(test)} test images; both are needed"
        )
    return rows[subset(supervised.labels(index, rows), index.groups[rows], spec.target_size, spec.seed)]


def _test_classifier(
    work: TrainingSetup, feed: Loader, device: torch.device, folder: Path
) -> dict[str, float]:
    rows = feed.index.rows("test")
    softmax, labels = scores(work.model, evaluation_batches(feed, rows, device))
    _save_arrays(folder / SCORES, scores=softmax, labels=labels, ids=feed.index.ids[rows])
    return dict(classification_metrics(softmax, labels))


def _test_segmenter(
    work: TrainingSetup, feed: Loader, device: torch.device, folder: Path
) -> dict[str, float]:
    rows = feed.index.rows("test")
    shown = rows[:EXAMPLES]
    images, targets = (
        torch.cat(parts).cpu().numpy() for parts in zip(*feed.scan(shown, EXAMPLES), strict=True)
    )
    predicted = predictions(work.model, evaluation_batches(feed, shown, device))
    ids = feed.index.ids[shown]
    _save_arrays(folder / PREDICTIONS, ids=ids, image=images, target=targets, prediction=predicted)
    found = dict(work.task.evaluate(work.model, evaluation_batches(feed, rows, device)))
    if feed.index.outside is None:
        return found
    outside = feed.index.outside[rows].sum(0)
    return found | {
        "full_frame_miou": full_frame_miou(work.model, evaluation_batches(feed, rows, device), outside)
    }


TESTS: dict[str, Callable[[TrainingSetup, Loader, torch.device, Path], dict[str, float]]] = {
    "classification": _test_classifier,
    "segmentation": _test_segmenter,
}


def _save_arrays(path: Path, **arrays: np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
