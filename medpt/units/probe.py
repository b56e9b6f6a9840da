"""The unit `probe`: linear models on the features of frozen encoders, fitted to a target and tested."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import update_bn

from medpt import extensions
from medpt.analysis.transferability import logme
from medpt.data.arrays import Loader
from medpt.data.augment import normalise
from medpt.data.splits import strata, subset
from medpt.errors import InputError
from medpt.files import write_arrays
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET, Normalisation
from medpt.specs import Probe
from medpt.survival.controls import untrained_score
from medpt.survival.features import pooled
from medpt.tasks import linear, pixel_probe
from medpt.tasks.findings import image_metrics
from medpt.tasks.patients import mean_by_patient
from medpt.tasks.segment import segmentation_metrics
from medpt.units.base import SCAN_BATCH, Files, Inputs, Job, Tested

if TYPE_CHECKING:
    from medpt.models.encoders import Encoder

PROBE = "probe.npz"
MASKED_IMAGES = 200  # that pixels are drawn from, at most


def run(spec: Probe, inputs: Inputs, job: Job) -> dict[str, float]:
    """Fit and test a linear model on each network.

    Writes probe.npz: each metric of the test set, float64 (networks,). The metrics are their means and, of
    two or more networks, METRIC_std, the standard deviation (ddof 1); all are fractions but `logme`, which is
    LogME of the training features (medpt.analysis.transferability; not of masks). The batch norm of random
    networks gets its statistics from the training images that the model is fitted to. Of a cohort
    (`spec.splits`) the model is that of medpt.survival.controls, and the metric the c_index.
    """
    extensions.require(spec.extensions)
    seeds = range(spec.seed, spec.seed + spec.networks)
    if spec.splits is not None:
        cohort = inputs.cohort(spec.data)
        untrained = (build_encoder_with(spec.backbone, None, seed) for seed in seeds)
        scores = [untrained_score(e, cohort, spec.splits, spec.images, job.device) for e in untrained]
        return _write({"c_index": scores}, job)
    loader, weights = inputs.loader(spec.data), inputs.weights(spec)
    rows, normalisation = fitted_rows(loader, spec.images), spec.normalisation or IMAGENET
    images = partial(_probe_images, by=spec.evaluate_by)
    probe = _probe_masks if loader.index.task == "segmentation" else images
    found: dict[str, list[float]] = {}
    for seed in seeds:
        encoder = build_encoder_with(spec.backbone, weights, seed).to(job.device)
        if weights is None:
            settle_batch_norm(encoder, loader, rows, job.device)
        encoder.eval()
        for name, value in probe(encoder, loader, rows, job.device, normalisation):
            found.setdefault(name, []).append(value)
    return _write(found, job)


def _write(found: dict[str, list[float]], job: Job) -> dict[str, float]:
    """Write the metrics of each network, and return their means and standard deviations."""
    arrays = {name: np.array(values) for name, values in found.items()}
    write_arrays(job.folder / PROBE, arrays)
    return _metrics(arrays)


def stored_metrics(spec: Probe, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that probe.npz determines: all."""
    return {PROBE: _metrics(files[PROBE])} if PROBE in files else {}


def _metrics(arrays: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    spread = {f"{name}_std": float(values.std(ddof=1)) for name, values in arrays.items() if len(values) > 1}
    return {name: float(values.mean()) for name, values in arrays.items()} | spread


def fitted_rows(loader: Loader, most: int) -> NDArray[np.int64]:
    """Return the training images that the linear model is fitted to, the same ones for all networks."""
    index = loader.index
    rows = index.rows("train")
    labels = None if index.task == "segmentation" else strata(index.labels[rows])
    most = min(most, MASKED_IMAGES) if labels is None else most
    return rows if len(rows) <= most else rows[subset(labels, index.groups[rows], most, 0)]


def settle_batch_norm(encoder: "Encoder", loader: Loader, rows: NDArray[np.int64], device: str) -> None:
    """Set batch norm's statistics to averages over the images, in complete batches where there is one."""
    mixed = np.random.default_rng(0).permutation(rows)
    kept = mixed[: len(mixed) // SCAN_BATCH * SCAN_BATCH] if len(mixed) > SCAN_BATCH else mixed
    update_bn((normalise(images.to(device)) for images, _ in loader.scan(kept, SCAN_BATCH)), encoder)


@torch.no_grad()
def pooled_features(
    encoder: "Encoder", loader: Loader, rows: NDArray[np.int64], device: str, normalisation: Normalisation
) -> NDArray[np.float64]:
    """Return the pooled features of images, (N, d), in the order of `rows`."""
    batches = loader.scan(rows, SCAN_BATCH)
    parts = [pooled(encoder, normalise(images.to(device), normalisation)).cpu() for images, _ in batches]
    return torch.cat(parts).double().numpy()


def _probe_images(
    encoder: "Encoder",
    loader: Loader,
    rows: NDArray[np.int64],
    device: str,
    normalisation: Normalisation,
    by: str | None,
) -> Iterator[tuple[str, float]]:
    index, tested = loader.index, loader.index.rows("test")
    features = pooled_features(encoder, loader, rows, device, normalisation)
    model = linear.fit(features, index.labels[rows], index.groups[rows].tolist(), len(index.classes))
    scores = model.scores(pooled_features(encoder, loader, tested, device, normalisation))
    patients = index.groups[tested] if by else tested
    yield from image_metrics(*mean_by_patient(scores, index.labels[tested], patients))
    with suppress(InputError):  # labels of a single class, or features that are all 0
        yield "logme", logme(features, strata(index.labels[rows]))


def _probe_masks(
    encoder: "Encoder", loader: Loader, rows: NDArray[np.int64], device: str, normalisation: Normalisation
) -> Iterator[tuple[str, float]]:
    model = pixel_probe.fit_pixels(encoder, loader, rows, device, normalisation)
    tested = loader.index.rows("test")
    matrices = pixel_probe.confusions(encoder, loader, tested, model, device, normalisation)
    return segmentation_metrics(matrices, finite=True)
