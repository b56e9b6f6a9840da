"""The unit `pretrain`: a network trained on the data of a source.

The networks before and after are complete networks under the same keys, the encoder's as `encoder.*`. Metrics
are equal for equal seeds and contain no times. The source's own test set is not seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from medpt import extensions
from medpt.checkpoint import Checkpoints
from medpt.convergence import EarlyStopping
from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.files import write_json
from medpt.models import contract, weights
from medpt.protocol import TrainingProtocol
from medpt.specs import SUPERVISED, Finetune, Pretrain
from medpt.step_settings import choose_settings
from medpt.tasks import collection, context, jigsaw, supervised
from medpt.tasks.base import TrainingSetup, views
from medpt.tasks.classify import Classify
from medpt.tasks.segment import Segment
from medpt.train import TrainingResult, fit, summary
from medpt.units.base import Files, Inputs, Job, Tested

INITIAL, BEST, RECORD = "init.safetensors", "best.safetensors", "record.json"
HISTORY, EARLY = "history.json", "early.json"


def run(spec: Pretrain, inputs: Inputs, job: Job) -> dict[str, float]:
    """Pre-train on the data of a source and return the metrics.

    Writes the networks before (init.safetensors) and after (best.safetensors), history.json (rows of
    medpt.train.fit) and record.json (class weights, sizes). The metrics are steps, best_step, images_seen
    and, if a validation set could be held out, val_METRIC and steps_to_95; without labels also chance and
    flat_tiles (jigsaw) and every val_ metric of the best step.

    Raises InputError if specification and data do not fit together, DivergedError from training.
    """
    extensions.require(spec.extensions)
    setup = set_up(spec, [inputs.loader(digest) for digest in spec.data])
    weights.save(job.folder / INITIAL, setup.model.state_dict())
    result = train(setup, spec, job)
    weights.save(job.folder / BEST, setup.model.state_dict())
    metrics = summary(result, setup.task) | {"images_seen": images_seen(setup, result, spec)} | setup.figures
    return metrics if spec.method == SUPERVISED else metrics | validation_metrics(result)


def train(setup: TrainingSetup, spec: Pretrain | Finetune, job: Job) -> TrainingResult:
    """Train by the protocol of `spec`, from the job's newest checkpoint, and write history and record."""
    result = fit(
        with_settings(setup, spec, job),
        spec.protocol,
        spec.seed,
        device=job.device,
        checkpoints=Checkpoints(job.checkpoints, job.checkpoint_seconds),
        on_metrics=job.on_metrics,
    )
    job.on_settings(result.settings)
    write_json(job.folder / HISTORY, result.history)
    if result.early is not None:
        write_json(job.folder / EARLY, result.early)
    write_json(job.folder / RECORD, setup.record)
    return result


def with_settings(setup: TrainingSetup, spec: Pretrain | Finetune, job: Job) -> TrainingSetup:
    """Return the setup with the fastest settings of a step, where the job keeps some."""
    if job.settings_cache is None:
        return setup
    method = spec.method if isinstance(spec, Pretrain) else SUPERVISED
    network = f"{spec.architecture}/{spec.backbone} {method}"
    device = torch.device(job.device)
    return replace(setup, settings=choose_settings(setup, spec.protocol, network, device, job.settings_cache))


def set_up(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    """Return the setup of a built-in method or of an extension's; InputError if no method has the name.

    The network of an extension's method is checked before any time is spent on training it.
    """
    if spec.method in METHODS:
        return METHODS[spec.method](spec, loaders)
    setup: TrainingSetup = extensions.load("method", spec.method, METHODS)(spec, loaders)
    if problems := contract.encoder_problems(getattr(setup, "model", None), spec.backbone):
        name = extensions.described("method", spec.method)
        raise InputError(f"{name}: {problem}" for problem in problems)
    return setup


def stored_metrics(spec: Pretrain, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that the history of a supervised pre-training determines."""
    if spec.method != SUPERVISED or not files.get(HISTORY):
        return {}
    is_of_masks = f"val_{Segment.metric}" in files[HISTORY][-1]
    return stored_summary(files, spec.protocol, Segment.metric if is_of_masks else "auc")


def stored_summary(files: Files, protocol: TrainingProtocol, metric: str) -> dict[str, dict[str, float]]:
    """Return what `medpt.train.summary` makes of stored histories, of a task whose higher scores are better.

    A training may end between two evaluations, but then at the first step at which it may.
    """
    if not (history := files.get(HISTORY)):
        return {}
    task = Classify(torch.ones(0), metric)
    stopping = EarlyStopping.replay(history, task, protocol.improvement)
    step = max(history[-1]["step"], protocol.min_steps)
    best_step = stopping.best_step or step
    result = TrainingResult(step, best_step, stopping.best, history, early=files.get(EARLY))
    return {HISTORY: summary(result, task)}


def validation_metrics(result: TrainingResult) -> dict[str, float]:
    """Return every validation metric of the weights that were kept."""
    rows = [row for row in result.history if row["step"] == result.best_step]
    return {name: value for row in rows for name, value in row.items() if name.startswith("val_")}


def images_seen(setup: TrainingSetup, result: TrainingResult, spec: Pretrain) -> float:
    """Count the images of all steps, each view of one; a batch is at most an epoch."""
    epoch = views(spec.protocol) * len(setup.train_rows)
    return float(result.step * min(spec.protocol.batch_size, epoch))


def _supervised(spec: Pretrain, loaders: Sequence[Loader]) -> TrainingSetup:
    if len(loaders) > 1:
        return collection.set_up(spec, loaders)
    return supervised.set_up(loaders[0], loaders[0].index.rows("train"), spec)


METHODS: dict[str, Callable[[Pretrain, Sequence[Loader]], TrainingSetup]] = {
    SUPERVISED: _supervised,
    "jigsaw": jigsaw.set_up,
    "context": context.set_up,
}
