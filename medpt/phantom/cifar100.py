"""cifar-100-python: `train`, `test` and `meta` as pickles of protocol 2; ten of the hundred classes.

Coarse labels are all 0: which of the twenty groups a class belongs to is not drawn from.
"""

import pickle
from pathlib import Path

import numpy as np

from medpt.data.catalog import card
from medpt.phantom.objects import (
    Draw,
    bottle,
    cloud,
    disc_with_hands,
    flower,
    picture,
    round_fruit,
    shore,
    tower,
    volcano,
)
from medpt.phantom.paint import shrink, stream, to_bytes

CLASSES = card("CIFAR-100").classes
SUPERSAMPLING = 2
DRAWN: dict[str, Draw] = {
    "apple": round_fruit((0.75, 0.16, 0.14), 0.0),
    "bottle": bottle,
    "clock": disc_with_hands,
    "cloud": cloud,
    "mountain": volcano,
    "orange": round_fruit((0.93, 0.52, 0.1), 0.06),
    "rose": flower((0.8, 0.15, 0.25), (0.5, 0.08, 0.15), 9),
    "sea": shore,
    "skyscraper": tower,
    "sunflower": flower((0.95, 0.78, 0.12), (0.32, 0.2, 0.1), 21),
}


def write(folder: Path, seed: int, train: int = 200, test: int = 100, size: int = 32) -> None:
    """`size` must be 32: the format has no other."""
    top = folder / "cifar-100-python"
    top.mkdir()
    for subset, count in (("train", train), ("test", test)):
        names = [tuple(DRAWN)[n % len(DRAWN)] for n in range(count)]
        images = [_image(seed, subset, n, name, size) for n, name in enumerate(names)]
        content = {
            "filenames": [f"{name}_s_{n:06d}.png" for n, name in enumerate(names)],
            "batch_label": f"{subset} batch 1 of 1",
            "fine_labels": [CLASSES.index(name) for name in names],
            "coarse_labels": [0] * count,
            "data": np.stack(images),
        }
        (top / subset).write_bytes(pickle.dumps(content, protocol=2))
    meta = {"fine_label_names": list(CLASSES), "coarse_label_names": [f"group {n}" for n in range(20)]}
    (top / "meta").write_bytes(pickle.dumps(meta, protocol=2))


def _image(seed: int, subset: str, n: int, name: str, size: int) -> np.ndarray:
    side = size * SUPERSAMPLING
    canvas = picture(stream(seed, "CIFAR-100", subset, n), side, side, DRAWN[name])
    return to_bytes(shrink(canvas.astype(np.float32), size, size)).transpose(2, 0, 1).reshape(-1)
