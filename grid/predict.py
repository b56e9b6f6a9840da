"""`python -m grid.predict --space NAME --where K=V,… IMAGES --to DIR`: apply a fine-tuned network to images.

It writes predictions.csv, a row for each image, for segmentation also masks/NAME.png in the size of the
image, and network.json, which says what computed them (docs/predict.md). Several repeats of one trial are an
ensemble. Every image that cannot be read is named, with exit code 2, and then nothing is written.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grid.options import command_parser
from grid.predictor import Predictor, Selection, add_selection_arguments, load_predictor, select_trials
from grid.store.backends import is_url
from grid.store.store import Store
from medpt import cli, files
from medpt.arguments import path
from medpt.errors import InputError

if TYPE_CHECKING:
    from medpt.data.kept_region import KeptRegion
    from medpt.data.new_images import NewImage

BATCH = 32  # of medpt.train, so that rounding is that of the test
TABLE, MASKS, ABOUT = "predictions.csv", "masks", "network.json"
COLOURS = ((0, 0, 0), (230, 60, 50), (60, 170, 80), (70, 110, 220), (240, 190, 40), (160, 80, 180))

Prepared = tuple["NewImage", NDArray[np.uint8], "KeptRegion"]
Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    return cli.run_command(partial(predict, options))


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.predict", "Apply a fine-tuned network of a space to new images.")
    add_selection_arguments(result)
    result.add_argument("--to", required=True, type=path, metavar="DIR", help="a new folder for the results")
    result.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda"), help="device to compute on (default: %(default)s)"
    )
    result.add_argument("images", nargs="+", type=path, metavar="IMAGES", help="files and folders of images")
    return result


def predict(options: argparse.Namespace) -> None:
    """Write the predictions of all images. Raises InputError with every image that cannot be read."""
    from grid.results.frame import read_plan
    from medpt.data.new_images import find_images

    check_target(options.to)
    results = [] if is_url(options.out) else [Path(options.out)]
    files.check_outside("--to", options.to, [*results, *filter(Path.is_dir, options.images)])
    check_device(options.device)
    store = Store(options.out)
    selection = select_trials(read_plan(options.space, options.out), store, options.where, options.digest)
    predictor = load_predictor(selection, store, options.device)
    problems: list[str] = []
    images = find_images(options.images, predictor.card.modality, predictor.pipeline, problems)
    with files.building(options.to) as folder:
        rows = list(predictions(predictor, images, folder, problems))
        if problems:
            raise InputError(problems)
        write_table(rows, folder / TABLE)
        files.write_json(folder / ABOUT, about(selection, predictor, store))
    print_summary(selection, len(rows), options.to)


def check_target(folder: Path) -> None:
    """Raise InputError unless a folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--to {folder}: exists and is not empty; a new folder is accepted")


def check_device(name: str) -> None:
    """Raise InputError for a GPU that PyTorch does not see."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch sees no GPU here; cpu is accepted")


def predictions(
    predictor: Predictor, images: Sequence["NewImage"], folder: Path, problems: list[str]
) -> Iterator[Row]:
    """Yield the row of each image and write its mask; with the first problem, only look for further ones."""
    from rich.progress import track

    paths = mask_paths(predictor, images, problems)
    console = cli.console()
    for start in track(range(0, len(images), BATCH), "predicting", console=console, transient=True):
        prepared = list(prepared_images(predictor, images[start : start + BATCH], problems))
        if prepared and not problems:
            yield from batch_rows(predictor, prepared, paths, folder)


def prepared_images(
    predictor: Predictor, images: Sequence["NewImage"], problems: list[str]
) -> Iterator[Prepared]:
    for image in images:
        try:
            yield image, *predictor.prepare(image)
        except InputError as error:
            problems += error.problems


def batch_rows(
    predictor: Predictor, prepared: Sequence[Prepared], paths: dict[str, str], folder: Path
) -> Iterator[Row]:
    from medpt.trained_network import class_masks, image_probabilities

    facts = predictor.networks[0].facts
    pixels = np.stack([each[1] for each in prepared])
    if facts.task == "segmentation":
        for (image, _, region), mask in zip(prepared, class_masks(predictor.networks, pixels), strict=True):
            whole = region.restore(mask)
            write_mask(whole, folder / paths[image.id])
            counts = np.bincount(whole.ravel(), minlength=len(facts.classes)).tolist()
            areas = {f"pixels_{name}": count for name, count in zip(facts.classes, counts, strict=True)}
            yield {"image": image.id, "mask": paths[image.id], **areas}
        return
    for (image, _, _), found in zip(prepared, image_probabilities(predictor.networks, pixels), strict=True):
        chosen = {"predicted": facts.classes[found.argmax()]} if facts.task == "classification" else {}
        scores = {f"p_{name}": str(value) for name, value in zip(facts.classes, found, strict=True)}
        yield {"image": image.id, **chosen, **scores}


def mask_paths(predictor: Predictor, images: Sequence["NewImage"], problems: list[str]) -> dict[str, str]:
    """Return the file of each image's mask, by the image's id; none where no masks are written."""
    from medpt.data.readers.folder_files import stem

    if predictor.networks[0].facts.task != "segmentation":
        return {}
    found: dict[str, str] = {}
    for image in images:
        number = "" if image.slice is None else f"_{image.slice:04d}"
        path = f"{MASKS}/{stem(image.name)}{number}.png"
        if path in found.values():
            problems.append(f"{image.path}: another image gives {path} too; rename one of them")
        found[image.id] = path
    return found


def write_mask(mask: NDArray[np.uint8], path: Path) -> None:
    """Write class numbers as a PNG with a palette, so that programs read numbers and people see colours."""
    from PIL import Image

    picture = Image.fromarray(mask)
    picture.putpalette([value for number in range(256) for value in _colour(number)])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, format="PNG")


def _colour(number: int) -> tuple[int, int, int]:
    return COLOURS[number] if number < len(COLOURS) else COLOURS[1 + number % (len(COLOURS) - 1)]


def write_table(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: cli.spreadsheet_cell(value) for name, value in row.items()} for row in rows)


def about(selection: Selection, predictor: Predictor, store: Store) -> dict[str, Any]:
    """Return what computed the predictions, as JSON."""
    facts = predictor.networks[0].facts
    networks = [
        {"digest": name, "label": selection.plan.units[name].label, "test": store.marker(name).metrics}
        for name in selection.trials
    ]
    known = {"dataset": facts.dataset, "task": facts.task, "classes": facts.classes}
    return {"space": selection.plan.space, **known, "pipeline": predictor.pipeline, "networks": networks}


def print_summary(selection: Selection, images: int, folder: Path) -> None:
    count = len(selection.trials)
    print(f"{selection.label}{f' and {count - 1} more of its repeats, averaged' if count > 1 else ''}")
    if selection.unfinished:
        print(f"without {cli.count(selection.unfinished, 'repeat')} that is not finished")
    print(f"{cli.count(images, 'prediction')}: {folder / TABLE}")


if __name__ == "__main__":
    sys.exit(main())
