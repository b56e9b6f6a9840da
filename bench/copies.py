"""Are copies told from other images? Near names beside the usual 64-bit hashes, on real images.

    python -m bench.copies FOLDER [--images 30]

FOLDER holds datasets as downloaded. For every dataset found there: the least distance between images of
different patients, as they lie and under any turn, and for each kind of copy the greatest distance to its
original. A hash separates where every copy is nearer than any other image. Peers, on the same preprocessed
pixels that a trainer would see: dHash (8 x 9, brighter than the left neighbour) and pHash (the lowest 64
frequencies against their median). Expected: near names separate jpeg, half and border everywhere; dHash and
pHash do not on fundus photographs. Takes half a minute.
"""

import argparse
import sys
from collections.abc import Callable
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medpt.data import card, image_hash, open_dataset, preprocess
from medpt.data.decode import opencv
from medpt.data.leakage import LIMIT
from medpt.data.locate import locate
from medpt.data.preprocess import pipeline_of
from medpt.errors import InputError

Pixels = NDArray[np.uint8]
DATASETS = ("DRIVE", "EyePACS", "HRF", "DRISHTI-GS", "ChestXRay2017", "ISIC2019", "ImageNet")


def jpeg(image: Pixels, quality: int) -> Pixels:
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def smaller(image: Pixels) -> Pixels:
    size = image.shape[1] // 2, image.shape[0] // 2
    return np.asarray(opencv().resize(image, size, interpolation=opencv().INTER_AREA))


def cropped(image: Pixels, share: float) -> Pixels:
    y, x = (max(1, round(side * share)) for side in image.shape[:2])
    return np.ascontiguousarray(image[y:-y, x:-x])


def bordered(image: Pixels) -> Pixels:
    y, x = image.shape[0] // 20, image.shape[1] // 8
    return np.pad(image, ((y, y), (x, x), (0, 0)))


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "jpeg 90": lambda image: jpeg(image, 90),
    "jpeg 50": lambda image: jpeg(image, 50),
    "jpeg 20": lambda image: jpeg(image, 20),
    "half": smaller,
    "half, jpeg 75": lambda image: jpeg(smaller(image), 75),
    "border": bordered,
    "mirrored, jpeg 75": lambda image: jpeg(image[:, ::-1], 75),
    "crop 1 %": lambda image: cropped(image, 0.01),
    "crop 2.5 %": lambda image: cropped(image, 0.025),
}


def near(image: Pixels, pipeline: str) -> Pixels:
    return np.frombuffer(image_hash.perceptual_hash(image), np.uint8)


def dhash(image: Pixels, pipeline: str) -> Pixels:
    small = _small(image, pipeline, 9, 8)
    return np.packbits(small[:, 1:] > small[:, :-1])


def phash(image: Pixels, pipeline: str) -> Pixels:
    small = _small(image, pipeline, 32, 32)
    waves = np.cos(np.pi * (2 * np.arange(32)[None] + 1) * np.arange(8)[:, None] / 64)
    light = (waves @ small @ waves.T).ravel()
    return np.packbits(light > np.median(light[1:]))


def _small(image: Pixels, pipeline: str, width: int, height: int) -> NDArray[np.float64]:
    cv2 = opencv()
    grey = cv2.cvtColor(preprocess(image, pipeline), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float64)


HASHES = {f"near, limit {LIMIT}": near, "dHash": dhash, "pHash": phash}


def apart(a: Pixels, b: Pixels, turns: bool) -> int:
    """Bits; of near names under the turn that fits best, which the 64-bit hashes do not have."""
    forms = image_hash.turned(a[None])[:, 0] if turns else a[None]
    return int(np.bitwise_count(forms ^ b).sum(axis=1).min())


def measure(name: str, folder: Path, most: int) -> None:
    dataset = open_dataset(name, locate(name, folder))
    step = max(1, len(dataset) // most)
    records = dataset.records[::step][:most]
    images = [
        image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
        for image in map(dataset.image, records)
    ]
    pipeline = pipeline_of(card(name), 256)
    print(f"\n{name}: {len(images)} images of {len({record.group_id for record in records})} patients")
    for title, hashed in HASHES.items():
        names = [hashed(image, pipeline) for image in images]
        turns = hashed is near
        others = [
            apart(names[a], names[b], turns)
            for a, b in combinations(range(len(names)), 2)
            if records[a].group_id != records[b].group_id
        ]
        print(f"  {title}: other images {min(others, default=-1)} bits or more; copies at most:", end=" ")
        for copy, made in COPIES.items():
            distances = [
                apart(name, hashed(made(image), pipeline), turns)
                for name, image in zip(names[:12], images, strict=False)
            ]
            print(f"{copy} {max(distances)}", end="; ", flush=True)
        print()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.copies", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="datasets as downloaded")
    parser.add_argument("--images", type=int, default=30, help="of each dataset that are compared")
    options = parser.parse_args(arguments)
    for name in DATASETS:
        try:
            measure(name, options.folder, options.images)
        except InputError as error:
            print(f"\n{name}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
