"""One unit of work: from a source's arrays to pre-trained weights.

Promises: the weights before and after are whole networks under the same keys, the encoder's as `encoder.*`;
metrics are equal for equal seeds and hold no times. The source's own test part is not seen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from medpt import extensions
from medpt.checkpoint import Checkpoints
from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.files import write_json
from medpt.models import contract, weights
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, SUPERVISED, Pretrain
from medpt.tasks import collection, context, jigsaw, supervised
from medpt.tasks.base import TrainingSetup
from medpt.train import MetricsRow, TrainingResult, fit, summary

INITIAL, BEST, HISTORY, RECORD = "init.safetensors", "best.safetensors", "history.json", "record.json"


def run(
    spec: Pretrain,
    feeds: Sequence[Loader],
    folder: Path,
    *,
    checkpoints: Path,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_row: Callable[[MetricsRow], object] = lambda row: None,
) -> dict[str, float]:
    """Pre-trains on `feeds`, in the order of spec.datasets, and returns the metrics.

    Writes into `folder` the networks before (init.safetensors) and after (best.safetensors), history.json
    (rows of medpt.train.fit) and record.json (class weights, sizes). Goes on from the state in
    `checkpoints`, which the caller removes once the result is recorded. Metrics: steps, best_step,
    images_seen and, where a validation part could be cut off, val_METRIC and steps_to_95; without labels
    also chance and flat_tiles (jigsaw) and every val_ figure of the best step.
    Raises InputError where specification and data do not fit, DivergedError from training.
    """
    extensions.require(spec.extensions)
    work = prepare(spec, feeds)
    weights.save(folder / INITIAL, work.model.state_dict())
    outcome = fit(
        work,
        spec.protocol,
        spec.seed,
        device=device,
        checkpoints=Checkpoints(checkpoints, checkpoint_seconds),
        on_metrics=on_row,
    )
    weights.save(folder / BEST, work.model.state_dict())
    write_json(folder / HISTORY, outcome.history)
    write_json(folder / RECORD, work.record)
    found = summary(outcome, work.task) | {"images_seen": images_seen(work, outcome, spec)} | work.figures
    return found if spec.method == SUPERVISED else found | validated(outcome)


def prepare(spec: Pretrain, feeds: Sequence[Loader]) -> TrainingSetup:
    """The work of a built-in method or of an extension's; InputError where there is none of that name.

    What an extension's method trains is held against the backbone before any time is spent on it.
    """
    if spec.method in METHODS:
        return METHODS[spec.method](spec, feeds)
    work: TrainingSetup = extensions.load("method", spec.method, METHODS)(spec, feeds)
    if problems := contract.encoder_problems(getattr(work, "model", None), spec.backbone):
        name = extensions.described("method", spec.method)
        raise InputError(f"{name}: {problem}" for problem in problems)
    return work


def validated(outcome: TrainingResult) -> dict[str, float]:
    """Every validation figure of the weights that were kept."""
    rows = [row for row in outcome.history if row["step"] == outcome.best_step]
    return {name: value for row in rows for name, value in row.items() if name.startswith("val_")}


def images_seen(work: TrainingSetup, outcome: TrainingResult, spec: Pretrain) -> float:
    """Images over all steps, each view of one counted; a batch is never larger than an eightfold epoch."""
    return float(outcome.step * min(spec.protocol.batch_size, 8 * len(work.train_rows)))


class _How(TypedDict):
    backbone: str
    architecture: str
    protocol: TrainingProtocol
    seed: int


def _supervised(spec: Pretrain, feeds: Sequence[Loader]) -> TrainingSetup:
    how: _How = {
        "backbone": spec.backbone,
        "architecture": spec.architecture,
        "protocol": spec.protocol,
        "seed": spec.seed,
    }
    if len(feeds) > 1:
        return collection.set_up(spec.datasets, feeds, **how)
    return supervised.set_up(feeds[0], feeds[0].index.rows("train"), **how)


def _jigsaw(spec: Pretrain, feeds: Sequence[Loader]) -> TrainingSetup:
    feed, rows = _unlabelled(spec, feeds)
    return jigsaw.set_up(
        feed,
        rows,
        backbone=spec.backbone,
        protocol=spec.protocol,
        seed=spec.seed,
        permutations=jigsaw.permutation_count(len(rows)),
    )


def _context(spec: Pretrain, feeds: Sequence[Loader]) -> TrainingSetup:
    feed, rows = _unlabelled(spec, feeds)
    return context.set_up(
        feed,
        rows,
        backbone=spec.backbone,
        architecture=spec.architecture,
        protocol=spec.protocol,
        seed=spec.seed,
    )


def _unlabelled(spec: Pretrain, feeds: Sequence[Loader]) -> tuple[Loader, np.ndarray]:
    """The one set of a self-supervised method, and its training rows."""
    problems = []
    if len(feeds) != 1:
        given = ", ".join(spec.datasets)
        problems.append(f"method: {spec.method} takes one dataset, not {len(feeds)}: {given}")
    if spec.architecture not in SHARED:
        accepted = " (classification targets) or ".join(SHARED)
        problems.append(
            f"architecture: {spec.architecture!r}; {spec.method} has one run for all segmentation "
            f"networks: {accepted} (segmentation targets) is accepted"
        )
    problems += [
        f"{feed.index.dataset}: no training image" for feed in feeds if not len(feed.index.rows("train"))
    ]
    if problems:
        raise InputError(problems)
    return feeds[0], feeds[0].index.rows("train")


SHARED = (CLASSIFIER, "unet")
METHODS: dict[str, Callable[[Pretrain, Sequence[Loader]], TrainingSetup]] = {
    SUPERVISED: _supervised,
    "jigsaw": _jigsaw,
    "context": _context,
}
"""From a specification and its data to the network, task and rows that `fit` trains."""
