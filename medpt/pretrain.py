"""One unit of work: from a source's arrays to pre-trained weights.

Promises: the weights before and after are whole networks under the same keys, the encoder's as `encoder.*`;
metrics are equal for equal seeds and hold no times. The source's own test part is not seen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from medpt.checkpoint import Checkpoints
from medpt.data.arrays import Feed
from medpt.errors import InputError, did_you_mean
from medpt.files import write_json
from medpt.models import weights
from medpt.spec import Pretrain
from medpt.tasks import Work, supervised
from medpt.train import Outcome, Row, fit, summary

INITIAL, BEST, HISTORY, RECORD = "init.safetensors", "best.safetensors", "history.json", "record.json"


def run(
    spec: Pretrain,
    feeds: Sequence[Feed],
    folder: Path,
    *,
    checkpoints: Path,
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    on_row: Callable[[Row], object] = lambda row: None,
) -> dict[str, float]:
    """Pre-trains on `feeds`, in the order of spec.datasets, and returns the metrics.

    Writes into `folder` the networks before (init.safetensors) and after (best.safetensors), history.json
    (rows of medpt.train.fit) and record.json (class weights, sizes). Goes on from the state in
    `checkpoints`, which the caller removes once the result is recorded. Metrics: steps, best_step,
    images_seen and, where a validation part could be cut off, val_METRIC and steps_to_95.
    Raises InputError where specification and data do not fit, DivergedError from training.
    """
    if spec.method not in METHODS:
        raise InputError(f"method: no {spec.method!r}; {did_you_mean(spec.method, METHODS)}")
    work = METHODS[spec.method](spec, feeds)
    weights.save(folder / INITIAL, work.model.state_dict())
    outcome = fit(
        *(work.model, work.task, work.feed, work.train_rows, work.val_rows, spec.protocol),
        seed=spec.seed,
        device=device,
        checkpoints=Checkpoints(checkpoints),
        checkpoint_seconds=checkpoint_seconds,
        on_row=on_row,
    )
    weights.save(folder / BEST, work.model.state_dict())
    write_json(folder / HISTORY, outcome.history)
    write_json(folder / RECORD, work.record)
    return summary(outcome, work.task) | {"images_seen": images_seen(work, outcome, spec)}


def images_seen(work: Work, outcome: Outcome, spec: Pretrain) -> float:
    """Images over all steps, each view of one counted; a batch is never larger than an eightfold epoch."""
    return float(outcome.step * min(spec.protocol.batch_size, 8 * len(work.train_rows)))


def _supervised(spec: Pretrain, feeds: Sequence[Feed]) -> Work:
    if len(feeds) != 1:
        raise InputError(
            f"method: supervised takes one dataset, not {len(feeds)}: {', '.join(spec.datasets)}"
        )
    feed = feeds[0]
    return supervised.prepare(
        feed,
        feed.index.rows("train"),
        backbone=spec.backbone,
        architecture=spec.architecture,
        protocol=spec.protocol,
        seed=spec.seed,
    )


METHODS: dict[str, Callable[[Pretrain, Sequence[Feed]], Work]] = {"supervised": _supervised}
"""From a specification and its data to the network, task and rows that `fit` trains."""
