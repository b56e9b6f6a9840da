"""Units of work that train nothing: arrays and weights to numbers and small files of arrays.

Each `run_*` writes its arrays into `folder` and returns the metrics of the unit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpt.analysis.activations import first_filters, layer_similarities
from medpt.analysis.cmd import Settings, cmd, cmv, subset_means
from medpt.analysis.distances import grey_world
from medpt.analysis.filters import (
    anisotropy,
    cosine,
    difference,
    panel,
    patterns,
    relative_change,
    spectrum_centroid,
)
from medpt.analysis.gabor import fit, gabor_score
from medpt.data.arrays import Loader
from medpt.errors import InputError
from medpt.files import replacing
from medpt.identity import stream_seed
from medpt.models.encoders import Encoder
from medpt.models.registry import build_encoder
from medpt.models.weights import ENCODER, load_encoder
from medpt.specs import Coordinates, Filters, Svcca

COORDINATES, SIMILARITY, FILTERS = "coordinates.npz", "svcca.npz", "filters.npz"
BATCH = 64

Weights = Mapping[str, Tensor]


def run_coordinates(spec: Coordinates, feed: Loader, folder: Path, device: str = "cpu") -> dict[str, float]:
    """cmv of one dataset under every init and seed, and of its controls.

    Writes coordinates.npz: `<init>` float64 (seeds, t, 2), `<control>|<init>` alike, `mean colour`
    (seeds, t, 3) in [0, 1], `images` the number looked at. Metrics: the set's cmd with itself, by init.
    """
    settings = settings_of(spec)
    images = sampled(feed, spec.images, spec.dataset)
    found = {"images": np.array(len(images)), "mean colour": _mean_colours(images, settings)}
    for init in settings.inits:
        found[init] = _clouds(images, init, settings, device)
    pooled = replace(settings, maxpool="avg")
    neutral = grey_world(images)
    for init in settings.inits:
        found[f"average pool|{init}"] = _clouds(images, init, pooled, device)
        found[f"grey world|{init}"] = _clouds(neutral, init, settings, device)
    save_arrays(folder / COORDINATES, found)
    return {
        f"cmd_{init}": float(np.mean([cmd(cloud, cloud) for cloud in found[init]])) for init in settings.inits
    }


def settings_of(spec: Coordinates) -> Settings:
    """Raises InputError for options that have to look at several datasets at once, or are none."""
    try:
        settings = Settings(**spec.options)
    except TypeError:
        known = ", ".join(Settings.__dataclass_fields__)
        raise InputError(f"cmd: options {', '.join(spec.options)}; accepted: {known}") from None
    if settings.head == "pca":
        raise InputError("cmd: `head` is 'pca', whose axes are those of several datasets; linear is accepted")
    return settings


def _clouds(images: NDArray[np.uint8], init: str, settings: Settings, device: str) -> NDArray[np.float64]:
    runs = [cmv({"": images}, init, seed, settings, device)[""] for seed in range(settings.seeds)]
    return np.array(runs)


def _mean_colours(images: NDArray[np.uint8], settings: Settings) -> NDArray[np.float64]:
    colours = images.mean(axis=(1, 2), dtype=np.float64) / 255
    return np.array([subset_means(colours, seed, settings) for seed in range(settings.seeds)])


def sampled(feed: Loader, most: int, *names: str | int) -> NDArray[np.uint8]:
    """Up to `most` training images (n, S, S, 3), drawn once for each of `names`."""
    rows = feed.index.rows("train")
    if len(rows) > most:
        generator = np.random.default_rng(stream_seed(0, "sampled", *names))
        rows = np.sort(generator.permutation(rows)[:most])
    return np.concatenate([images.cpu().numpy() for images, _ in feed.scan(rows, BATCH)])


def run_svcca(
    spec: Svcca, feeds: Sequence[Loader], before: Weights, after: Weights, folder: Path, device: str = "cpu"
) -> dict[str, float]:
    """Similarity of each layer's channels before and after pre-training, on the same probe images.

    Writes svcca.npz: `layers`, `similarity` (mean canonical correlation, lower = more change), `floor` (of
    unrelated networks), `rows`, `channels` and `weights` (correlation of the kernels), all (L,). Metrics: the
    mean over layers, and the first one's.
    """
    each = max(1, spec.images // len(feeds))
    probes = np.concatenate([sampled(feed, each, "svcca", spec.seed, n) for n, feed in enumerate(feeds)])
    old, new = (_encoder(spec.backbone, state) for state in (before, after))
    layers = layer_similarities(old, new, probes, seed=spec.seed, device=device)
    names = ("layers", "similarity", "floor", "rows", "channels", "weights")
    columns = ("layer", "similarity", "floor", "n", "p", "weights")
    arrays = {
        name: np.array([getattr(layer, column) for layer in layers])
        for name, column in zip(names, columns, strict=True)
    }
    save_arrays(folder / SIMILARITY, arrays)
    return {
        "similarity": float(arrays["similarity"].mean()),
        "similarity_first": float(arrays["similarity"][0]),
        "probe_images": float(len(probes)),
    }


def run_filters(spec: Filters, before: Weights, after: Weights, folder: Path) -> dict[str, float]:
    """The first convolution before and after: kernels, panels and scores.

    Writes filters.npz: `before`, `after` float64 (m, 3, k, k); `before gabor`, `after gabor` (m,), 1 where a
    filter counts as a Gabor; the pictures `before panel`, `after panel` and `difference panel`, uint8
    (H, W, 3). Metrics by medpt.analysis.filters and gabor.
    """
    pair = [first_filters(_encoder(spec.backbone, state)) for state in (before, after)]
    arrays: dict[str, NDArray[Any]] = {"difference panel": difference(*pair)}
    metrics = {"relative_change": relative_change(*pair), "cosine": cosine(*pair)}
    for when, kernels in zip(("before", "after"), pair, strict=True):
        gabors = fit(patterns(kernels)).gabor.astype(np.float64)
        arrays |= {when: kernels, f"{when} panel": panel(kernels), f"{when} gabor": gabors}
        score = gabor_score(kernels, spec.seed)
        metrics |= {
            f"gabor_{when}": score.published,
            f"gabor_fraction_{when}": score.fraction,
            f"gabor_control_{when}": score.control,
            f"gabor_r2_{when}": score.mean_r2,
            f"spectrum_centroid_{when}": spectrum_centroid(kernels),
            f"anisotropy_{when}": anisotropy(kernels),
        }
    save_arrays(folder / FILTERS, arrays)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _encoder(backbone: str, state: Weights) -> Encoder:
    encoder = build_encoder(backbone)
    load_encoder(encoder, state)
    return encoder.eval()


def random_weights(backbone: str, seed: int) -> dict[str, Tensor]:
    """The backbone's own initialization: what a published network is compared with, whose own nobody kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "before"))
        encoder = build_encoder(backbone)
    return {ENCODER + name: tensor for name, tensor in encoder.state_dict().items()}


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
