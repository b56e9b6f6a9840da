"""Is a copy of a dataset whole? Counts, every image and mask decoded, patients of the split."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TextIO

from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.errors import InputError


@dataclass
class Findings:
    """`problems` make a copy unfit; `remarks` are for the reader to judge."""

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check(dataset: Dataset, progress: TextIO = sys.stderr) -> Findings:
    """All findings of one pass; decodes everything, so it takes as long as reading the files does."""
    found = Findings(remarks=list(dataset.remarks))
    found.problems += [*_counts(dataset), *_shared_patients(dataset)]
    if dataset.info.task == "survival":
        found.remarks.append("slides were not opened: their patches belong to the survival pipeline")
        return found
    for record in _shown(dataset, len(dataset), progress):
        found.problems += _decoding(dataset, record)
    return found


def _counts(dataset: Dataset) -> Iterator[str]:
    found = Counter[str](record.split or "train" for record in dataset)
    found.update(dataset.left_out)
    for part, published in dataset.info.counts.items():
        if found[part] != published:
            yield f"{dataset.root}: {found[part]:,} images of the {part} part; published: {published:,}"


def _shared_patients(dataset: Dataset) -> list[str]:
    train = {record.patient_id for record in dataset if record.split == "train"}
    test = {record.patient_id for record in dataset if record.split == "test"}
    return [f"patient {name} is in the train and in the test part" for name in sorted(train & test)]


def _decoding(dataset: Dataset, record: Record) -> list[str]:
    try:
        image = dataset.image(record)
        if record.mask_path is None:
            return []
        mask = dataset.mask(record)
    except InputError as error:
        return error.problems
    problems = []
    if mask.shape != image.shape[:2]:
        problems.append(f"{record.mask_path}: shape {mask.shape} for an image of shape {image.shape[:2]}")
    if (strange := mask[(mask >= len(dataset.info.classes)) & (mask != IGNORE)]).size:
        problems.append(
            f"{record.mask_path}: class {strange.max()}; accepted: under {len(dataset.info.classes)}"
        )
    return problems


def _shown(records: Iterable[Record], total: int, stream: TextIO) -> Iterator[Record]:
    """The records, with rate and end on `stream`: each second on a terminal, else every half minute."""
    start = told = time.monotonic()
    terminal = stream.isatty()
    for done, record in enumerate(records):
        now = time.monotonic()
        if done and now - told > (1 if terminal else 30):
            rate, told = done / (now - start), now
            line = f"{done:,} of {total:,} decoded, {rate:.0f} a second, {(total - done) / rate:.0f} s to go"
            print(
                f"\r{line}\033[K" if terminal else line, end="" if terminal else "\n", file=stream, flush=True
            )
        yield record
    if terminal:
        print("\r\033[K", end="", file=stream, flush=True)
