"""Is a copy of a dataset complete? First what the files' names, tables and sizes say, then every pixel.

What makes a copy unfit is a problem. What is only strange is a note: identical images are in some datasets
as they were published.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.data.glibc_memory import kept
from medpt.data.image_hash import BYTES, perceptual_hash
from medpt.data.label_counts import (
    NO_SPLIT,
    Counts,
    LabelFindings,
    image_counts,
    judge,
    unfit_labels,
    unfit_patients,
)
from medpt.data.leakage import near_pairs
from medpt.data.partial_copy import find_partial, has_published_counts, images_by_part
from medpt.data.preprocess import pipeline_of
from medpt.data.readers.folder_volumes import units_problem
from medpt.data.splits import SETS
from medpt.errors import InputError

BONE, LARGEST_BONE = 700, 0.25  # Hounsfield units; above it lies less than this share of any slice of a body
CLASSES_SHOWN = 12  # columns of the table
EVERY = {True: 1.0, False: 10.0}  # seconds between lines of progress: on a terminal, elsewhere


@dataclass
class Findings:
    """`problems` make a copy unfit; `notes` are for the reader to judge."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table: list[tuple[str, ...]] = field(default_factory=list)  # what was counted, with a header


def check(dataset: Dataset, progress: TextIO) -> Findings:
    """All findings of one pass; decodes everything, so it takes as long as reading the files does."""
    first, rest = at_once(dataset), decoded(dataset, progress)
    problems = dict.fromkeys([*first.problems, *rest.problems])
    return Findings(list(problems), [*first.notes, *rest.notes])


def at_once(dataset: Dataset) -> Findings:
    """What is known without decoding: the reader's findings, counts, labels, patients, sizes of files.

    What a partial copy lacks is neither a problem nor a note: `medpt.data.partial_copy` says it.
    """
    judged = LabelFindings()
    if dataset.info.task in ("classification", "multilabel"):
        judged = judge(dataset.info, image_counts(dataset))
    counts = _counts(dataset)
    expected = has_published_counts(dataset)
    problems = [
        *dataset.problems,
        *(counts if expected else ()),
        *unfit_labels(dataset.info, dataset),
        *unfit_patients(dataset.info, dataset),
        *judged.problems,
        *_shared_patients(dataset),
        *_files(dataset),
    ]
    notes = [*dataset.notes, *(() if expected else counts), *judged.notes]
    return Findings(list(dict.fromkeys(problems)), notes)


def decoded(dataset: Dataset, progress: TextIO) -> Findings:
    """What every image and mask, decoded, says; progress goes to `progress` with rate and time to go."""
    if dataset.info.task == "survival":
        return Findings(notes=["slides were not opened: their patches belong to the survival pipeline"])
    found, seen, pixels = Findings(), _Seen(), _Pixels(dataset)
    with kept():
        for record in _shown(dataset, len(dataset), progress):
            found.problems += _decoding(dataset, record, seen, pixels)
    judged = pixels.findings()
    found.problems = list(dict.fromkeys([*found.problems, *seen.unfit(dataset.info), *judged.problems]))
    found.notes = [*seen.blank, *seen.copies(), *judged.notes]
    found.table = counted(dataset, pixels.counts or image_counts(dataset), seen)
    return found


def counted(dataset: Dataset, counts: Counts, seen: "_Seen") -> list[tuple[str, ...]]:
    """A line for each split: images, patients, sizes, grey range, and images or pixels of each class."""
    rows = [
        ("SPLIT", "IMAGES", "PATIENTS", "SIZES", "RANGE", *map(str, dataset.info.classes[:CLASSES_SHOWN]))
    ]
    for split in dict.fromkeys(record.split or NO_SPLIT for record in dataset):
        records = [record for record in dataset if (record.split or NO_SPLIT) == split]
        patients = len({record.patient_id for record in records})
        of_class = [
            f"{counts.get(split, {}).get(name, 0):,}" for name in dataset.info.classes[:CLASSES_SHOWN]
        ]
        sizes, values = seen.sizes.get(split, []), seen.ranges.get(split, [])
        size = f"{_span([w for w, _ in sizes])} x {_span([h for _, h in sizes])}" if sizes else "-"
        shown = f"{min(low for low, _ in values):g} to {max(high for _, high in values):g}" if values else "-"
        rows.append((split, f"{len(records):,}", f"{patients:,}", size, shown, *of_class))
    return rows


def _span(sides: list[int]) -> str:
    return f"{min(sides)}" if min(sides) == max(sides) else f"{min(sides)}-{max(sides)}"


def _decoding(dataset: Dataset, record: Record, seen: "_Seen", pixels: "_Pixels") -> list[str]:
    try:
        image = dataset.image(record)
        seen.add(record, image)
        masked = _mask(dataset, record, image, pixels) if record.mask_path else []
    except InputError as error:
        return error.problems
    return [*_implausible(record, image), *masked]


def _counts(dataset: Dataset) -> list[str]:
    found, is_partial = images_by_part(dataset), find_partial(dataset) is not None
    return [
        f"{dataset.root}: {found[part]:,} images of the {SETS[part]} set; published: {published:,}"
        for part, published in dataset.info.counts.items()
        if found[part] > published or (found[part] < published and not is_partial)
    ]


def _shared_patients(dataset: Dataset) -> list[str]:
    train = {record.patient_id for record in dataset if record.split == "train"}
    test = {record.patient_id for record in dataset if record.split == "test"}
    known = " ".join(dataset.problems)
    both = [name for name in sorted(train & test) if f"patient {name} is in" not in known]
    return [f"patient {name} is in the training and in the test set" for name in both]


def _files(dataset: Dataset) -> Iterator[str]:
    """Files without content. Members of archives (`a.tar!b`) are left to decoding."""
    named = {record.image_path for record in dataset} | {r.mask_path for r in dataset if r.mask_path}
    for name in sorted(named):
        path = dataset.root / name
        if path.is_file() and not path.stat().st_size:
            yield f"{path}: empty file (0 bytes)"


def _implausible(record: Record, image: NDArray[Any]) -> list[str]:
    """Of CT, which alone is int16: a slice of which much is harder than bone has lost its rescaling."""
    if image.dtype != np.int16 or (image > BONE).mean() <= LARGEST_BONE:
        return []
    share = f"{(image > BONE).mean():.0%} of the pixels are above {BONE} HU"
    return [f"{record.id}: {share}: not Hounsfield units (is RescaleIntercept lost?)"]


def _mask(dataset: Dataset, record: Record, image: NDArray[Any], pixels: "_Pixels") -> list[str]:
    mask, problems = dataset.mask(record), []
    pixels.add(record, mask)
    if mask.shape != image.shape[:2]:
        problems.append(f"{record.mask_path}: shape {mask.shape} for an image of shape {image.shape[:2]}")
    if (strange := mask[(mask >= len(dataset.info.classes)) & (mask != IGNORE)]).size:
        problems.append(
            f"{record.mask_path}: class {strange.max()}; accepted: under {len(dataset.info.classes)}"
        )
    return problems


class _Pixels:
    """Pixels of each class by split, and the masks that hold one class alone."""

    def __init__(self, dataset: Dataset) -> None:
        self.info = dataset.info
        self.counts: dict[str, Counter[str]] = {}
        self.ignored = self.masks = self.background = 0
        self.two_values: list[str] = []  # masks of 0 and 255

    def add(self, record: Record, mask: NDArray[np.uint8]) -> None:
        found = np.bincount(mask.ravel(), minlength=IGNORE + 1)
        named = {name: int(found[n]) for n, name in enumerate(self.info.classes)}
        self.counts.setdefault(record.split or NO_SPLIT, Counter()).update(named)
        self.ignored += int(found[IGNORE])
        self.masks += 1
        self.background += int(not found[1:IGNORE].any())
        if found[IGNORE] and not found[1:IGNORE].any():
            self.two_values.append(str(record.mask_path))

    def findings(self) -> LabelFindings:
        if not self.masks:
            return LabelFindings()
        judged = judge(self.info, self.counts)
        unlabelled = "255 stands for unlabelled pixels"
        first, second = (*self.info.classes, self.info.classes[0])[:2]
        line = f"`values: {{{first}: 0, {second}: 255}}`"
        if judged.problems and self.ignored and not self.info.values:
            if self.background < self.masks or len(self.info.classes) > 2:
                line = "`values` of each class"
            text = f"the masks hold {'0 and 255 alone' if self.background == self.masks else '255'}"
            judged.problems.append(
                f"{self.info.name}: {text}, and {unlabelled}; write {line} into the card if 255 is `{second}`"
            )
        elif self.two_values and not self.info.values:
            text = f"{len(self.two_values):,} of {self.masks:,} masks hold 0 and 255 alone, such as"
            remedy = f"if 255 is `{second}` in them, give all masks one form"
            judged.notes.append(f"{self.info.name}: {text} {self.two_values[0]}: {unlabelled}; {remedy}")
        elif self.background:
            text = f"{self.background:,} of {self.masks:,} masks hold `{self.info.classes[0]}` alone"
            judged.notes.append(f"{self.info.name}: {text}")
        return judged


class _Seen:
    """Images by the hash of their pixels; those of a single value are alike without being copies."""

    def __init__(self) -> None:
        self.by_pixels: dict[bytes, list[Record]] = {}
        self.records: list[Record] = []
        self.hashes: list[bytes] = []  # image_hash.perceptual_hash of `records`
        self.blank: list[str] = []
        self.sizes: dict[str, list[tuple[int, int]]] = {}  # width, height by split
        self.ranges: dict[str, list[tuple[float, float]]] = {}
        self.in_units = True  # whether all are of CT, which alone is int16

    def add(self, record: Record, image: NDArray[Any]) -> None:
        split, low, high = record.split or NO_SPLIT, float(image.min()), float(image.max())
        self.sizes.setdefault(split, []).append((image.shape[1], image.shape[0]))
        self.ranges.setdefault(split, []).append((low, high))
        self.in_units &= image.dtype == np.int16
        if low == high:
            self.blank.append(f"{record.id}: all pixels are {image.flat[0]}")
            return
        digest = hashlib.blake2b(f"{image.shape}{image.dtype}".encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image).data)
        self.by_pixels.setdefault(digest.digest(), []).append(record)
        self.records.append(record)
        self.hashes.append(perceptual_hash(image))

    def unfit(self, info: DatasetCard) -> Iterator[str]:
        """What is wrong with the values of all images together."""
        values = [pair for split in self.ranges.values() for pair in split]
        if values and not self.records:
            yield f"{info.name}: each image is of a single value: there is nothing to learn from them"
        elif values and self.in_units:
            highest = max(high for _, high in values)
            if problem := units_problem(min(values)[0], highest, pipeline_of(info)):
                yield f"{info.name}: {problem}"

    def copies(self) -> list[str]:
        groups = [records for records in self.by_pixels.values() if len(records) > 1]
        identical = [f"{', '.join(r.id for r in rs)}: identical images{_unlike(rs)}" for rs in groups]
        known = {frozenset((a.id, b.id)) for records in groups for a in records for b in records}
        pairs = [(a, b) for a, b in self._near() if frozenset((a.id, b.id)) not in known]
        return identical + [f"{a.id}, {b.id}: nearly identical images{_unlike([a, b])}" for a, b in pairs]

    def _near(self) -> Iterator[tuple[Record, Record]]:
        """Near copies in different splits, or where there is no split, of different patients."""
        if not self.records:
            return
        names = np.frombuffer(b"".join(self.hashes), np.uint8).reshape(-1, BYTES)
        tested = np.array([record.split == "test" for record in self.records])
        first = np.flatnonzero(~tested) if tested.any() else np.arange(len(names))
        second = np.flatnonzero(tested) if tested.any() else first
        for i, j in near_pairs(names[first], names[second]):
            a, b = self.records[first[i]], self.records[second[j]]
            if tested.any() or (first[i] < second[j] and a.group_id != b.group_id):
                yield a, b


def _unlike(records: list[Record]) -> str:
    """In what identical images differ, as one should know before training on them."""
    labels = sorted({str(record.label) for record in records})
    sets = sorted({SETS[record.split] if record.split else "unassigned" for record in records})
    differences = [f"labels {' and '.join(labels)}"] if len(labels) > 1 else []
    differences += [f"{' and '.join(sets)} set"] if len(sets) > 1 else []
    return f" ({'; '.join(differences)})" if differences else ""


def _shown(records: Iterable[Record], total: int, stream: TextIO) -> Iterator[Record]:
    """The records, with rate and time to go on `stream` now and then, and one line at the end."""
    start = printed = time.monotonic()
    terminal = stream.isatty()
    for done, record in enumerate(records):
        now = time.monotonic()
        if done and now - printed > EVERY[terminal]:
            rate, printed = done / (now - start), now
            line = f"{done:,} of {total:,} decoded, {rate:.1f} a second, {(total - done) / rate:.0f} s to go"
            ends = ("\r", "\033[K") if terminal else ("", "\n")
            print(line.join(ends), end="", file=stream, flush=True)
        yield record
    seconds = time.monotonic() - start
    rate = total / max(seconds, 1e-9)
    line = f"{total:,} images decoded in {seconds:.0f} s, {rate:.1f} a second"
    print(("\r" if terminal else "") + line + ("\033[K" if terminal else ""), file=stream, flush=True)
