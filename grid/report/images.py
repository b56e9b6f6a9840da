"""Pictures in a report, as data URIs: example images of prepared data, and predictions beside the truth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from grid.report import downloads
from grid.report.provenance import Data
from grid.report.tables import Contrast, contrasts
from grid.results.cells import Cell
from grid.results.stored_space import StoredSpace
from medpt.data.decode import opencv
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.metrics import IGNORE, dice

PREDICTIONS = "predictions.npz"
FIRST = 2  # images of a target whose predictions are shown whatever they are; then the best and the worst
SIDE = 192  # pixels of the largest image on the page
EXAMPLES = 6  # images of a dataset
MOST_EXAMPLES = 24  # datasets with example images
JPEG_QUALITY = 88
OPACITY = 0.6

Image = NDArray[np.uint8]  # (S, S, 3)
Classes = NDArray[np.uint8]  # (S, S)

TRUTH = (255, 209, 59)
CORRECT, MISSED, WRONG = (46, 196, 160), (255, 140, 26), (232, 62, 140)


@dataclass(frozen=True)
class Predicted:
    """One test image, as data URIs; `best` and `random` are (URI, Dice in per cent) or None.

    `why` says why it is shown: it is the best or the worst of the kept ones, or among the first.
    """

    name: str
    why: str
    image: str
    truth: str
    random: tuple[str, float] | None
    best: tuple[str, float] | None


@dataclass(frozen=True)
class Gallery:
    contrast: Contrast
    seeds: dict[str, int]  # by "random" and "best"
    pictures: list[Predicted]


@dataclass(frozen=True)
class Example:
    uri: str
    caption: str


def galleries(cells: Sequence[Cell], artifact: Callable[[str, str], Path | None], most: int) -> list[Gallery]:
    """Test images of up to `most` segmentation targets, by the network with the best pre-training.

    `artifact` gives the path of a fine-tuning's file by digest and name, or None.
    """
    best: dict[str, Contrast] = {}
    for contrast in contrasts([cell for cell in cells if cell.metric == "miou"]):
        target, size = contrast.column
        if contrast.best and (size, contrast.best.mean) > _rank(best.get(target)):
            best[target] = contrast
    found = [_gallery(contrast, artifact) for contrast in list(best.values())[:most]]
    return [gallery for gallery in found if gallery]


def _rank(contrast: Contrast | None) -> tuple[float, float]:
    """Rank a target's complete training set before a share of it, then by mean."""
    return (contrast.column[1], contrast.best.mean) if contrast and contrast.best else (0.0, 0.0)


def _gallery(contrast: Contrast, artifact: Callable[[str, str], Path | None]) -> Gallery | None:
    loaded, seeds = {}, {}
    roles = {"random": contrast.random, "best": contrast.best}
    splits = [{repeat.fold for repeat in cell.digests} for cell in roles.values() if cell and cell.digests]
    shared = set.intersection(*splits) if splits else set()  # splits, of which each tests other images
    for role, cell in roles.items():
        if cell and cell.digests and shared:
            repeat = min(each for each in cell.digests if each.fold == min(shared))
            seeds[role] = repeat.seed
            if path := artifact(cell.digests[repeat], PREDICTIONS):
                loaded[role] = _arrays(path)
    if not loaded:
        return None
    some = loaded.get("best") or loaded["random"]
    pictures = [_predicted(number, why, some, loaded) for number, why in _chosen(some).items()]
    return Gallery(contrast, seeds, pictures)


def _chosen(kept: dict[str, NDArray[np.generic]]) -> dict[int, str]:
    """Return which kept predictions are shown, and why: the first ones, the best and the worst of all."""
    scores = [_dice(*pair) for pair in zip(kept["target"], kept["prediction"], strict=True)]
    found = dict.fromkeys(range(min(FIRST, len(scores))), "")
    ends = {int(np.argmax(scores)): "best", int(np.argmin(scores)): "worst"}
    return found | (ends if len(ends) > 1 else {})


def _arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def _predicted(
    number: int,
    why: str,
    some: dict[str, NDArray[np.generic]],
    loaded: dict[str, dict[str, NDArray[np.generic]]],
) -> Predicted:
    name, image, target = str(some["ids"][number]), some["image"][number], some["target"][number]
    judged = {
        role: _judged(image, target, arrays["prediction"][list(arrays["ids"]).index(name)])
        for role, arrays in loaded.items()
        if name in arrays["ids"]
    }
    truth = painted(image, [(foreground(target), TRUTH)])
    return Predicted(
        name, why, data_uri(shrunk(image)), data_uri(shrunk(truth)), judged.get("random"), judged.get("best")
    )


def _judged(image: Image, target: Classes, prediction: Classes) -> tuple[str, float]:
    return data_uri(shrunk(agreement(image, target, prediction))), _dice(target, prediction)


def _dice(target: Classes, prediction: Classes) -> float:
    classes = int(max(prediction.max(), target[target != IGNORE].max(initial=0))) + 1
    return 100 * dice(prediction[None], target[None], max(classes, 2))


def agreement(image: Image, target: Classes, prediction: Classes) -> Image:
    """The image with correct foreground, missed foreground and wrong foreground in three colours."""
    known = target != IGNORE
    correct = foreground(target) & (prediction == target)
    wrong = known & (prediction != 0) & (prediction != target)
    missed = foreground(target) & (prediction == 0)
    return painted(image, [(correct, CORRECT), (missed, MISSED), (wrong, WRONG)])


def foreground(target: Classes) -> NDArray[np.bool_]:
    return (target != 0) & (target != IGNORE)


def painted(image: Image, layers: Iterable[tuple[NDArray[np.bool_], tuple[int, int, int]]]) -> Image:
    """The image dimmed a little, with each mask laid over it in its colour."""
    result = 0.8 * image.astype(np.float64)
    for mask, colour in layers:
        result[mask] = (1 - OPACITY) * result[mask] + OPACITY * np.array(colour)
    return result.round().astype(np.uint8)


def shrunk(image: Image) -> Image:
    """Return the image, or a smaller one where a side has more than SIDE pixels."""
    if len(image) <= SIDE:
        return image
    return np.asarray(opencv().resize(image, (SIDE, SIDE), interpolation=opencv().INTER_AREA), np.uint8)


def data_uri(image: Image) -> str:
    """JPEG of an RGB image, or PNG where it is small enough to be seen pixel by pixel."""
    if len(image) <= 96:
        return png_uri(image)
    return _uri(image, "jpeg", [opencv().IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png_uri(image: Image) -> str:
    """PNG of an RGB image, every pixel as it is; the slowest compression takes 40 % off these small ones."""
    cv2 = opencv()
    strategy = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT]
    return _uri(image, "png", [cv2.IMWRITE_PNG_COMPRESSION, 9, *strategy])


def _uri(image: Image, kind: str, options: list[int]) -> str:
    done, data = opencv().imencode(f".{kind}", np.ascontiguousarray(image[..., ::-1]), options)
    if not done:
        raise InputError(f"an image of {image.shape} cannot be encoded")
    return downloads.data_uri(f"image/{kind}", data.tobytes())


def examples_of(data: Sequence[Data], stored: StoredSpace) -> dict[str, list[Example]]:
    """Return examples of up to MOST_EXAMPLES datasets, by the digest of the prepared data; once a dataset."""
    found: dict[str, list[Example]] = {}
    first = {
        entry.card.name: (entry.prepared.digest, manifest)
        for entry in reversed(data)
        if (manifest := entry.prepared.manifest) and manifest.shards
    }
    for digest, manifest in list(first.values())[:MOST_EXAMPLES]:
        try:
            shard = stored.store.file(digest, manifest.shards[0].name)
            found[digest] = examples(shard.parent, manifest)
        except InputError as error:
            stored.warnings += error.problems
    return found


def examples(folder: Path, manifest: Manifest) -> list[Example]:
    """Images of the first shard: one or two of each of its first classes, masks laid over.

    Raises InputError where the shard cannot be read.
    """
    from pyarrow import ArrowException, parquet

    path = folder / manifest.shards[0].name
    try:
        table = parquet.read_table(path, columns=["id", "label", "image", "mask"])
    except (OSError, ArrowException):
        raise InputError(f"{manifest.dataset}: the shard {path.name} cannot be read") from None
    labels = table["label"].to_numpy()
    size = manifest.size
    found = []
    for row in chosen(labels):
        image = np.frombuffer(table["image"][row].as_py(), np.uint8).reshape(size, size, 3)
        if manifest.task == "segmentation":
            mask = np.frombuffer(table["mask"][row].as_py(), np.uint8).reshape(size, size)
            marked = painted(image, [(foreground(mask), TRUTH)])
            found.append(Example(data_uri(shrunk(marked)), str(table["id"][row])))
        else:
            found.append(Example(data_uri(shrunk(image)), manifest.classes[labels[row]]))
    return found


def chosen(labels: NDArray[np.int64]) -> list[int]:
    """Return the rows of up to EXAMPLES images: two of each class, or one of many classes."""
    each = 2 if len(np.unique(labels)) * 2 <= EXAMPLES else 1
    if len(np.unique(labels)) == 1:
        each = 3
    rows = [row for label in np.unique(labels) for row in np.flatnonzero(labels == label)[:each].tolist()]
    return rows[:EXAMPLES]
