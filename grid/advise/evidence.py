"""Frozen probes of initializations on a user's images: linear models and LogME, without any fine-tuning.

Each encoder sees a sample of the training and test images once. The probe is that of the unit `probe`
(medpt.units.probe): logistic regression on pooled features, or on pixels for masks. LogME (You et al. 2021)
is of the features of the training images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grid.compare.sources import Source
from grid.compare.target import Target
from grid.results.comparisons import Interval
from grid.results.intervals import estimate
from grid.results.items import INFLUENCES
from grid.results.variance import FixedTest, Runs, fixed_test
from grid.results.verdicts import set_of_the_best, smallest_decidable
from grid.space.protocols import headline_metric
from grid.space.trials import IMAGENET, RANDOM, Settings
from medpt import normalisation
from medpt.analysis.transferability import logme, transferability
from medpt.data import open_as
from medpt.data.arrays import ArrayLoader
from medpt.data.cache import Arrays
from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.data.manifest import Index
from medpt.data.preprocess import pipeline_of, preprocess_pair
from medpt.data.splits import assign, strata
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models import torchvision_weights, weights
from medpt.models.weights import build_encoder_with
from medpt.models.weights_file import WeightsFile, load_encoder_state
from medpt.normalisation import Normalisation
from medpt.tasks import linear, pixel_probe
from medpt.tasks.findings import image_metrics
from medpt.tasks.patients import mean_by_patient
from medpt.tasks.segment import segmentation_metrics
from medpt.units.probe import pooled_features, settle_batch_norm

if TYPE_CHECKING:
    from medpt.models.encoders import Encoder

Items = Mapping[str, NDArray[Any]]  # as grid.results.items reads them


@dataclass(frozen=True)
class ProbeSettings:
    """What the probes look at: the backbone, the side of the images in pixels, and how many at most."""

    backbone: str
    size: int
    images: int  # of the training set, and as many of the test set


@dataclass(frozen=True)
class ProbeResult:
    """What the frozen encoder of one initialization scores, in per cent; `logme` is nan where undefined."""

    initialization: str
    score: Interval
    logme: float


@dataclass(frozen=True)
class Evidence:
    """The probes, best first.

    `decidable` is the smallest difference, in points, that the whole test set of `tested` images can show
    between the first two; of a single initialization, between two random networks. `best` are those that
    cannot be told from the best one, by the test images that were looked at.
    """

    metric: str
    tested: int
    probes: tuple[ProbeResult, ...]
    decidable: float
    best: tuple[str, ...]


def gather(
    target: Target, sources: Sequence[Source], settings: ProbeSettings, on_progress: Callable[[str], object]
) -> Evidence:
    """Probe the sources whose weights are here, random ones too.

    Raises InputError that names every image that cannot be read, and weights that do not fit.
    """
    loader, by = load_images(target, settings), target.card.evaluate_by
    found: list[_Probed] = []
    for source in sources:
        on_progress(f"probing {source.name}")
        found.append(_probe(source.name, *_encoder(source, settings.backbone, loader), loader, by))
    other = found
    if len(found) == 1:
        encoder, scaling = _encoder(Source(RANDOM, ""), settings.backbone, loader, seed=1)
        other = [*found, _probe(RANDOM, encoder, scaling, loader, by)]
    return _evidence(target, found, other)


def _evidence(target: Target, found: Sequence["_Probed"], compared: Sequence["_Probed"]) -> Evidence:
    """Return the evidence of probes; `compared` has two or more, of which the first two are compared."""
    card = target.card
    metric = headline_metric(card.name, Settings(cards={card.name: card}))
    ordered, pair = (
        sorted(each, key=lambda one: -np.nan_to_num(one.score(metric))) for each in (found, compared)
    )
    group = _group(ordered, metric)
    each = estimate([(group, np.eye(len(ordered)))])
    rows = zip(ordered, each.value, *each.limits(), strict=True)
    contrast = np.array([[1.0, -1.0]])
    decidable = float(smallest_decidable(estimate([(_group(pair[:2], metric), contrast)]))[0])
    return Evidence(
        metric=metric,
        tested=target.test,
        probes=tuple(
            ProbeResult(one.name, Interval(*map(float, limits)), one.logme) for one, *limits in rows
        ),
        decidable=decidable * sqrt(found[0].images / target.test),
        best=tuple(ordered[number].name for number in set_of_the_best(group, len(ordered))),
    )


@dataclass(frozen=True)
class _Probed:
    name: str
    items: Items  # of the test images, or of their patients
    logme: float
    images: int  # that were tested

    def score(self, metric: str) -> float:
        return dict(_metrics(self.items))[metric]


def _group(found: Sequence[_Probed], metric: str) -> FixedTest:
    """Return the probes as cells that are tested on the same items, each once."""
    zero = np.zeros(1, np.int64)
    runs = [
        Runs(np.array([100 * one.score(metric)]), zero, zero, 100 * INFLUENCES[metric](one.items)[None])
        for one in found
    ]
    return fixed_test(runs, found[0].items["patients"], "test")


def _encoder(
    source: Source, backbone: str, loader: ArrayLoader, seed: int = 0
) -> "tuple[Encoder, Normalisation]":
    """Return the encoder with the weights of a source, and how it takes images."""
    state, scaling = None, normalisation.IMAGENET
    if isinstance(source.weights, WeightsFile):
        state, scaling = load_encoder_state(source.weights), source.weights.normalisation
    elif source.weights and source.name == IMAGENET:
        state = torchvision_weights.published(backbone, source.weights)
    elif source.weights:
        state = weights.encoder_state(weights.load(source.weights))
    encoder = build_encoder_with(backbone, state, seed)
    if state is None:
        settle_batch_norm(encoder, loader, loader.index.rows("train"), "cpu")
    return encoder.eval(), scaling


def _probe(
    name: str, encoder: "Encoder", scaling: Normalisation, loader: ArrayLoader, by: str | None
) -> _Probed:
    """Test a linear model on the frozen features, and compute LogME of the training features."""
    index, train, test = loader.index, loader.index.rows("train"), loader.index.rows("test")
    patients = np.unique(index.groups[test], return_inverse=True)[1]
    if index.task == "segmentation":
        model = pixel_probe.fit_pixels(encoder, loader, train, "cpu", scaling)
        found = pixel_probe.confusions(encoder, loader, test, model, "cpu", scaling)
        images, masks = loader.arrays.images[train], loader.arrays.targets[train]
        value = _known(transferability, encoder, images, masks, scaling)
        return _Probed(name, {"confusions": found, "patients": patients}, value, len(test))
    features = pooled_features(encoder, loader, train, "cpu", scaling)
    model = linear.fit(features, index.labels[train], index.groups[train].tolist(), len(index.classes))
    scores = model.scores(pooled_features(encoder, loader, test, "cpu", scaling))
    grouped = patients if by else np.arange(len(test))
    scores, labels = mean_by_patient(scores, index.labels[test], grouped)
    patients = np.arange(len(labels)) if by else patients
    items = {"scores": scores, "labels": labels, "patients": patients}
    return _Probed(name, items, _known(logme, features, strata(index.labels[train])), len(test))


def _known(score: Callable[..., float], *arguments: Any) -> float:
    try:
        return score(*arguments)
    except InputError:  # a single class, or features that are all 0
        return float("nan")


def _metrics(items: Items) -> Iterator[tuple[str, float]]:
    if "confusions" in items:
        return segmentation_metrics(items["confusions"], finite=True)
    return image_metrics(items["scores"], items["labels"])


def load_images(target: Target, settings: ProbeSettings) -> ArrayLoader:
    """Prepare a sample of the training and the test images in memory.

    Raises InputError that names every image that cannot be read.
    """
    dataset = open_as(target.card, target.home)
    records = sorted(dataset.records, key=lambda record: record.id)
    splits = assign(records, "official" if target.card.official_split else "random", 0)
    rows = [row for split in ("train", "test") for row in _drawn(splits, split, settings.images)]
    images, targets = _pixels(dataset, [records[row] for row in rows], settings.size)
    index = _index(dataset, [records[row] for row in rows], [splits[row] for row in rows], settings.size)
    if dataset.info.task != "segmentation":
        return ArrayLoader(Arrays(index, images, index.labels))
    counts = [np.bincount(mask[mask != IGNORE], minlength=len(index.classes)) for mask in targets]
    with_pixels = Index(**(vars(index) | {"pixels": np.array(counts)}))
    return ArrayLoader(Arrays(with_pixels, images, targets))


def _drawn(splits: Sequence[str], split: str, most: int) -> list[int]:
    rows = np.flatnonzero(np.array(splits) == split)
    rng = np.random.default_rng(stream_seed(0, "advice", "sample"))
    return np.sort(rng.permutation(rows)[:most]).tolist()


def _pixels(
    dataset: Dataset, records: Sequence[Record], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    pipeline, masked = pipeline_of(dataset.info, size), dataset.info.task == "segmentation"
    found, problems = [], list[str]()
    for record in records:
        try:
            mask = dataset.mask(record) if masked else None
            found.append(preprocess_pair(dataset.image(record), mask, pipeline))
        except InputError as error:
            problems += [f"{record.id}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    masks = [mask for _, mask in found if mask is not None]
    return np.stack([image for image, _ in found]), np.stack(masks) if masks else np.empty(0, np.uint8)


def _index(dataset: Dataset, records: Sequence[Record], splits: Sequence[str], size: int) -> Index:
    card = dataset.info
    kind = np.float32 if card.task == "multilabel" else np.int64
    return Index(
        dataset=card.name,
        task=card.task,
        modality=card.modality,
        classes=card.classes,
        size=size,
        ids=np.array([record.id for record in records]),
        splits=np.array(splits),
        groups=np.array([record.group_id for record in records]),
        labels=np.array([-1 if record.label is None else record.label for record in records], kind),
        pixels=None,
    )
