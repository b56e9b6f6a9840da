"""Images for an analysis: of a known dataset under the data folder, or of any folder of images.

Images pass the pipeline of training. The official test set of a known dataset is not read. Images that cannot
be read are reported together for all sets. Importing this module imports neither torch nor OpenCV.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data import open_dataset
from medpt.data.file_tree import walk
from medpt.data.locate import find_dataset, locate
from medpt.data.preprocess import FIRST, default_pipeline, pipeline_of, preprocess
from medpt.errors import InputError
from medpt.identity import stream_seed

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".webp")
LEAST = 2

Image = Callable[[], NDArray[np.generic]]
Report = Callable[[str], object]


@dataclass(frozen=True)
class Source:
    """A named set of images: a function that decodes each, and their pipeline."""

    name: str
    images: Sequence[Image]
    pipeline: str


def read(
    texts: Sequence[str],
    data: Path | None,
    size: int,
    *,
    at_most: int,
    clahe: bool = True,
    report: Report = lambda line: None,
) -> dict[str, NDArray[np.uint8]]:
    """Read sets of images, uint8 (n, size, size, 3) by name, in the order of `texts`.

    A text is the name of a dataset under `data`, a folder, or MODALITY:FOLDER for images to be cropped as
    those of that modality; LABEL= before it renames the set. Of more than `at_most` images a sample is read,
    which depends on their number only. Raises InputError with every problem: texts that are neither, sets of
    one image, two sets of one name, images that cannot be read.
    """
    problems: list[str] = []
    sources = _all(texts, data, size, problems)
    for source in sources:
        if len(source.images) < LEAST:
            problems.append(f"{source.name}: {len(source.images)} images; {LEAST} or more are needed")
    if problems:
        raise InputError(problems)
    found = {source.name: _pixels(source, at_most, clahe, problems, report) for source in sources}
    if problems:
        raise InputError(problems)
    return {name: np.stack(images) for name, images in found.items()}


def _all(texts: Sequence[str], data: Path | None, size: int, problems: list[str]) -> list[Source]:
    sources: dict[str, Source] = {}
    for text in texts:
        try:
            source = _source(text, data, size)
        except InputError as error:
            problems += error.problems
            continue
        if source.name in sources:
            problems.append(f"{text}: another set has the name {source.name} already; put LABEL= before one")
        sources.setdefault(source.name, source)
    return list(sources.values())


def _source(text: str, data: Path | None, size: int) -> Source:
    label, _, location = text.rpartition("=") if not Path(text).is_dir() else ("", "", text)
    modality, colon, folder = location.partition(":")
    if colon and modality in FIRST:
        found = _folder(Path(folder), default_pipeline(modality, size))
    elif Path(location).is_dir() or data is None or "/" in location:
        found = _folder(Path(location), default_pipeline("natural", size))
    else:
        found = _dataset(location, data, size)
    return replace(found, name=label or found.name)


def _dataset(name: str, data: Path, size: int) -> Source:
    found, _ = find_dataset(name, data)
    if found.task == "survival":
        raise InputError(f"{found.name}: whole slides; give a folder of its patches")
    dataset = open_dataset(found.name, locate(found.name, data))
    records = [record for record in dataset if record.split != "test"]
    images = [lambda record=record: dataset.image(record) for record in records]
    return Source(found.name, images, pipeline_of(dataset.info, size))


def _folder(folder: Path, pipeline: str) -> Source:
    from medpt.data.decode import read_image

    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; a folder, MODALITY:FOLDER or, with --data DIR, a dataset is accepted"
        )
    files = [Path(entry.path) for entry in walk(folder) if Path(entry.path).suffix.lower() in SUFFIXES]
    images = [lambda file=file: read_image(file) for file in files]
    return Source(folder.resolve().name, images, pipeline)


def _pixels(
    source: Source, at_most: int, clahe: bool, problems: list[str], report: Report
) -> list[NDArray[np.uint8]]:
    """Return the preprocessed images of a set; add a problem for each that cannot be read."""
    steps = [step for step in source.pipeline.split("|") if clahe or not step.startswith("clahe(")]
    pipeline = "|".join(steps)
    rng = np.random.default_rng(stream_seed(0, "analysis", "sample"))
    count = len(source.images)
    rows = np.sort(rng.choice(count, min(at_most, count), replace=False))
    report(f"{source.name}: {len(rows):,} of {count:,} images, {pipeline}")
    found = []
    for row in rows:
        try:
            found.append(preprocess(source.images[row](), pipeline))
        except InputError as error:
            problems += [
                problem if source.name in problem else f"{source.name}: {problem}"
                for problem in error.problems
            ]
    return found


class Progress:
    """Report the work done, its rate and the time left to `write`, at most every few seconds."""

    EVERY = 10.0  # seconds

    def __init__(self, total: int, write: Report) -> None:
        self.total, self.write = total, write
        self.done = 0
        self.start = self.reported = time.monotonic()

    def __call__(self, line: str) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self.reported < self.EVERY and self.done < self.total:
            return
        self.reported = now
        rate = self.done / max(now - self.start, 1e-9)
        left = (self.total - self.done) / rate
        self.write(f"{self.done} of {self.total} ({line}), {rate:.2g} a second, {left:.0f} s left")
