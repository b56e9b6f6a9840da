"""How long do frozen features of many encoders take? Our units beside a loop over torchvision's network.

    python -m bench.frozen [--images 32] [--encoders 1] [--backbone resnet50] [--size 224] [--precision auto]

Ours are the units `image_features` and `frozen` (linear probe and nearest neighbours), from prepared images
to stored metrics. The peer is torchvision's network in batches of 64 with scikit-learn's logistic regression
of six values of C. Counts processor time of one thread, so that other work on the machine matters less, and
prints what 1,000 images and ten encoders take on two cores at this rate; the fits, which do not grow with the
encoder, are counted apart. With 32 images it takes about 15 seconds.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from bench.figure import Figure, limited, show
from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.augment import normalise
from medpt.data.manifest import Index
from medpt.models.weights import random_weights
from medpt.precision import resolve_precision
from medpt.specs import Frozen, ImageFeatures
from medpt.units import frozen, image_features
from medpt.units.base import Job, StartingSpec, Weights
from medpt.units.features import FEATURES

IMAGES, ENCODERS, CORES = 1_000, 10, 2
MINUTES = {None: 25, "bf16": 12}  # at most, by precision
CLASSES, TRAINED = 2, 0.8
MODES = ("linear_probe", "knn")


@dataclass
class MadeInputs:
    """Random images of two classes, and the features that were computed of them."""

    images: ArrayLoader
    folder: Path

    def loader(self, digest: str) -> ArrayLoader:
        return self.images

    def weights(self, spec: StartingSpec) -> Weights:
        return random_weights(spec.backbone, spec.seed)

    def features(self, digest: str) -> NDArray[np.floating]:
        values: NDArray[np.floating] = np.load(self.folder / FEATURES, mmap_mode="r")
        return values


def made_images(count: int, size: int) -> ArrayLoader:
    """Return random images; the first four fifths are training images, each of a patient of its own."""
    rng = np.random.default_rng(0)
    names, labels = np.array([f"{n:05}" for n in range(count)]), np.arange(count) % CLASSES
    splits = np.where(np.arange(count) < TRAINED * count, "train", "test")
    facts = ("bench", "classification", "fundus", ("a", "b"), size)
    index = Index(*facts, ids=names, splits=splits, groups=names, labels=labels, pixels=None)
    pixels = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return ArrayLoader(Arrays(index, pixels, labels))


def plain_loop(loader: ArrayLoader, backbone: str) -> None:
    """Compute features with torchvision's network as it comes, and fit scikit-learn to them."""
    network = torchvision.models.get_model(backbone, num_classes=1).eval()
    last = "fc" if hasattr(network, "fc") else "classifier"
    setattr(network, last, torch.nn.Identity())
    with torch.no_grad():
        parts = [network(normalise(images)) for images, _ in loader.scan(np.arange(len(loader.index)), 64)]
    features, train = torch.cat(parts).numpy(), loader.index.rows("train")
    for strength in Frozen.strengths or ():
        LogisticRegression(C=strength, max_iter=500).fit(features[train], loader.index.labels[train])


def processor_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measured(args: argparse.Namespace, folder: Path, seed: int, loader: ArrayLoader) -> tuple[float, float]:
    """Return the seconds of one encoder's features, and of both fits."""
    inputs, job = MadeInputs(loader, folder), Job(folder, folder / "checkpoints")
    made = ("given", "weights", "bench", "data")
    features = ImageFeatures(*made, args.backbone, seed, args.precision)
    fits = [Frozen(*made, "features", args.backbone, mode) for mode in MODES]  # type: ignore[arg-type]
    first = processor_seconds(lambda: image_features.run(features, inputs, job))  # type: ignore[arg-type]
    return first, processor_seconds(lambda: [frozen.run(spec, inputs, job) for spec in fits])  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--encoders", type=int, default=1)
    parser.add_argument("--backbone", default="resnet50", help="one of torchvision's")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    args = parser.parse_args()
    precision = args.precision = resolve_precision(args.precision)
    torch.set_num_threads(1)
    loader = made_images(args.images, args.size)
    with tempfile.TemporaryDirectory() as folder:
        seconds = [measured(args, Path(folder), seed, loader) for seed in range(args.encoders)]
    peer = processor_seconds(lambda: plain_loop(loader, args.backbone))
    each, fits = np.mean(seconds, axis=0)
    name = f"frozen {args.backbone}, {args.size} px, {precision or 'fp32'}"
    show(Figure(name, args.images / (each + fits), args.images / peer, "img/s", "torchvision's, sklearn"))
    minutes = ENCODERS * (each * IMAGES / args.images + fits) / CORES / 60
    words = f"{IMAGES:,} images x {ENCODERS} encoders, {CORES} cores"
    show(limited(words, minutes, MINUTES[precision], "min"))
    print(f"features {each:.1f} s an encoder, fits {fits:.1f} s, of {args.images} images")


if __name__ == "__main__":
    main()
