"""Does each network learn a few real images by heart? Vessels of four photographs; melanoma against nevus.

    python -m bench.learning --data FOLDER [--networks unet classifier/resnet18] [--size 128] [--steps 400]
                             [--whole]

FOLDER holds DRIVE and ISIC2019 as medpt.data finds them. Each segmentation network stands on ResNet-18 and
gets the first four training images of DRIVE, or of --dataset, of each the square of --size pixels at full
resolution that holds most vessels (beside the disc), or with --whole the image shrunk to --size; the mark is
a mean IoU of 0.85. CE-Net gets 192 pixels at least. DeepLabV3+ and ET-Net draw at a quarter of the side;
`free_logits` in every line is what logits of that size reach on these masks without a network: 0.63 on whole
images of 128 pixels, too coarse for their vessels, 0.93 on the squares. Each classifier gets 12 images of
melanoma and 12 of nevus; the mark is an AUC of 0.95.

Reader, preprocessing, class weights, loss, step and evaluation are those of the grid. Every step sees all
images, as they are; they are judged in evaluation mode. One JSON line a network; exit code 1 if one does not
reach its mark, 2 where the data are missing. It says that a network and its loss can learn, nothing of images
that it has not seen.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from medpt.data import Record, open_dataset, preprocess
from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.locate import locate
from medpt.data.manifest import Index
from medpt.data.preprocess import default_pipeline, preprocess_pair
from medpt.errors import InputError
from medpt.losses import IGNORE, balanced_cross_entropy
from medpt.metrics import mean_iou
from medpt.models.cenet import SMALLEST
from medpt.models.registry import ARCHITECTURES, BACKBONES
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, Finetune
from medpt.tasks.segment import Segment
from medpt.tasks.supervised import set_up
from medpt.train import TrainingState

SEGMENTED = 4
TARGET = "DRIVE"
OF_EACH_CLASS = 12
CLASSES = ("NV", "MEL")  # nevus, melanoma
MARKS = {"miou": 0.85, "macro_auc": 0.95}  # of two classes the macro AUC is the ordinary one
EVERY = 10  # steps between evaluations
NETWORKS = (*ARCHITECTURES, *(f"{CLASSIFIER}/{backbone}" for backbone in BACKBONES))


def segmented(name: str, folder: Path, size: int, *, whole: bool) -> ArrayLoader:
    """The first SEGMENTED images of the training set, or of all images where the publisher gives no split."""
    data = open_dataset(name, folder)
    records = [record for record in data if record.split != "test"][:SEGMENTED]
    pipeline = default_pipeline(data.info.modality, size)
    owners = [(data.image(record), data.mask(record)) for record in records]
    parts = owners if whole else [densest(image, mask, size) for image, mask in owners]
    pairs = [preprocess_pair(image, mask, pipeline) for image, mask in parts]
    images, masks = (np.stack(parts) for parts in zip(*pairs, strict=True))
    classes = data.info.classes
    pixels = np.stack([np.bincount(mask[mask != IGNORE], minlength=len(classes)) for mask in masks])
    facts = (name, "segmentation", data.info.modality, classes, size)
    index = Index(*facts, *_names(records), np.full(len(records), -1), pixels)
    return ArrayLoader(Arrays(index, images, masks))


def densest(image: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The square of `size` pixels with most foreground, the first of equals; InputError where none fits."""
    height, width = mask.shape
    if min(height, width) < size:
        raise InputError(f"--size {size}: an image has {height}×{width} pixels")
    sums = np.pad((mask > 0) & (mask != IGNORE), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    square = np.s_[top : top + size, left : left + size]
    return image[square], mask[square]


def lesions(folder: Path, size: int) -> ArrayLoader:
    """The first OF_EACH_CLASS images of each of CLASSES, whose places are the labels.

    InputError where there are fewer.
    """
    data = open_dataset("ISIC2019", folder)
    places = [data.info.classes.index(name) for name in CLASSES]
    found = [[record for record in data if record.label == place][:OF_EACH_CLASS] for place in places]
    few = [(name, len(part)) for name, part in zip(CLASSES, found, strict=True) if len(part) < OF_EACH_CLASS]
    if few:
        raise InputError(f"{folder}: {n} images of {name}; accepted: {OF_EACH_CLASS}" for name, n in few)
    records = [record for part in found for record in part]
    pipeline = default_pipeline(data.info.modality, size)
    images = np.stack([preprocess(data.image(record), pipeline) for record in records])
    labels = np.repeat(np.arange(len(CLASSES)), OF_EACH_CLASS)
    facts = (data.info.name, "classification", data.info.modality, CLASSES, size)
    index = Index(*facts, *_names(records), labels, None)
    return ArrayLoader(Arrays(index, images, labels))


def _names(records: list[Record]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, parts and groups; all are of the training set."""
    ids, groups = (np.array([getattr(record, name) for record in records]) for name in ("id", "group_id"))
    return ids, np.full(len(records), "train"), groups


def learn(network: str, args: argparse.Namespace) -> dict[str, object]:
    """Trains until the mark is reached, --steps at the most."""
    loader, metric = material(network, args)
    rows = loader.index.rows("train")
    architecture, _, backbone = network.partition("/")
    protocol = TrainingProtocol(learning_rate=args.learning_rate, batch_size=len(rows), validation_fraction=0)
    spec = Finetune(
        "random", None, "bench", "d", backbone or "resnet18", architecture, seed=args.seed, protocol=protocol
    )
    setup = set_up(loader, rows, spec)
    run, start, best = (
        TrainingState.start(replace(setup, val_rows=rows), protocol, torch.device("cpu")),
        time.perf_counter(),
        0.0,
    )
    for batch in islice(loader.batches(rows, len(rows), args.seed, augment=False), args.steps):
        run.train(*batch)
        if run.step % EVERY == 0 or run.step == args.steps:
            row = run.evaluate()
            best = max(best, row[f"val_{metric}"])
        if best >= MARKS[metric]:
            break
    facts = {
        "network": network,
        "dataset": loader.index.dataset,
        "images": len(rows),
        "side": loader.index.size,
        "seed": args.seed,
    }
    facts |= {"reached": best >= MARKS[metric], "steps": run.step, metric: round(best, 4)}
    if "val_background_miou" in row:
        facts["background_miou"] = round(row["val_background_miou"], 4)
    if isinstance(setup.task, Segment):
        facts["free_logits"] = round(free_logits(loader.arrays.targets, setup.task), 4)
    return facts | {"seconds": round(time.perf_counter() - start)}


def free_logits(masks: np.ndarray, task: Segment, steps: int = 150) -> float:
    """Mean IoU of logits (N, K, S/4, S/4), enlarged bilinearly, fitted to masks (N, S, S) by the task's loss.

    Reached by descent on the loss, not on the IoU: near the most that can be drawn, no strict bound.
    """
    target, classes, (_, *side) = torch.from_numpy(masks), len(task.weights), masks.shape
    logits = torch.zeros(len(masks), classes, *(length // 4 for length in side), requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(steps):
        drawn = F.interpolate(logits, size=side, mode="bilinear", align_corners=False)
        optimiser.zero_grad()
        balanced_cross_entropy(drawn, target, task.weights).backward()
        optimiser.step()
    return mean_iou(drawn.argmax(1).numpy(), masks, classes)


def material(network: str, args: argparse.Namespace) -> tuple[ArrayLoader, str]:
    """The images to learn, and the metric that is to reach its mark."""
    if network.startswith(CLASSIFIER):
        return lesions(locate("ISIC2019", args.data), args.size), "macro_auc"
    size = max(args.size, SMALLEST) if network == "cenet" else args.size
    return segmented(args.dataset, locate(args.dataset, args.data), size, whole=args.whole), "miou"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--dataset", default=TARGET, help="one with masks, for every segmentation network")
    parser.add_argument("--whole", action="store_true", help="images shrunk to --size instead of squares")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    reached = True
    for network in args.networks:
        try:
            result = learn(network, args)
        except InputError as error:
            print(error, file=sys.stderr)
            return 2
        print(json.dumps(result), flush=True)
        reached = reached and bool(result["reached"])
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
