"""How many images or pixels each class has in each split, and what of that no training can make up for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isnan

from medpt.data.card import IMAGE_FOLDER, SPLIT_FOLDERS, DatasetCard
from medpt.data.dataset import Dataset, Record

Counts = Mapping[str, Mapping[str, int]]  # by split, by class
NO_SPLIT = "dataset"  # where the split is still to be drawn


@dataclass
class LabelFindings:
    """`problems` make training pointless; `notes` can be intended."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def image_counts(dataset: Dataset) -> dict[str, Counter[str]]:
    """Images of each class by split, of a classification; an image of several findings counts for each."""
    counts: dict[str, Counter[str]] = {}
    classes = dataset.info.classes
    for record in dataset:
        if isinstance(record.label, tuple):  # also where it has no finding
            counts.setdefault(record.split or NO_SPLIT, Counter())
        for number in _classes_of(record.label, len(classes)):
            counts.setdefault(record.split or NO_SPLIT, Counter())[classes[number]] += 1
    return counts


def _classes_of(label: int | tuple[float, ...] | None, classes: int) -> Iterator[int]:
    if isinstance(label, tuple):
        yield from (number for number, value in enumerate(label[:classes]) if value == 1)
    elif label is not None and label in range(classes):
        yield label


def unfit_labels(info: DatasetCard, records: Iterable[Record]) -> Iterator[str]:
    """What is wrong with the labels of images, one text for each image."""
    count = len(info.classes)
    for record in records:
        label = record.label
        if info.task == "classification" and label not in range(count):
            yield f"{record.id}: label {label}; accepted: 0 to {count - 1}"
        elif info.task == "multilabel" and not (
            isinstance(label, tuple) and len(label) == count and all(x in (0, 1) or isnan(x) for x in label)
        ):
            yield f"{record.id}: labels {label}; accepted: 1, 0 or nan (unknown) for each of {count} classes"


def unfit_patients(info: DatasetCard, records: Iterable[Record]) -> Iterator[str]:
    """What keeps a dataset from being evaluated by patient, where its card asks for that."""
    if info.evaluate_by != "patient":
        return
    labels: dict[str, set[str]] = {}
    images = Counter[str]()
    for record in records:
        images[record.group_id] += 1
        labels.setdefault(record.group_id, set()).add(str(record.label))
    if images and max(images.values()) == 1:
        remedy = "name the column of patients under `columns`, or remove the key"
        yield f"{info.name}: `evaluate_by: patient`, and no patient has two images; {remedy}"
    mixed = [patient for patient, known in labels.items() if len(known) > 1]
    if mixed:
        shown = f"patients with images of different labels: {len(mixed)}, such as {mixed[0]}"
        yield f"{info.name}: `evaluate_by: patient`, {shown}; correct the labels, or remove the key"


def judge(info: DatasetCard, counts: Counts) -> LabelFindings:
    """What is wrong with the counts of images (classification) or pixels (segmentation).

    A training set of one class is a problem unless images have several. A class that is absent is a problem
    of a user's dataset, whose card names it, and a note of a built-in one, which may be a part of a copy.
    """
    found = LabelFindings()
    what = "pixel" if info.task == "segmentation" else "image"
    training = counts.get("train") or counts.get(NO_SPLIT) or {}
    found.problems += [f"{info.name}: {text}" for text in _unfit_sets(info, counts)]
    present = [name for name in info.classes if training.get(name)]
    if not present and counts and info.task == "segmentation":
        found.problems.append(f"{info.name}: no pixel of the masks has a class")
    if len(present) == 1 and info.task != "multilabel":  # there the images without a finding are the others
        where = "the training set" if counts.get("train") else "the dataset"
        text = f"{where} has {what}s of one class alone, `{present[0]}`: there is nothing to learn from it"
        found.problems.append(f"{info.name}: {text}")
    if info.reader == IMAGE_FOLDER and info.official_split and not {"train", "test"} <= set(counts):
        lacking = "training" if "train" not in counts else "test"
        found.notes.append(
            f"{info.name}: no image is in the {lacking} set; it can be a source, but no target"
        )
    absent = found.problems if info.reader == IMAGE_FOLDER else found.notes
    judged = len(present) > 1 or info.task == "multilabel"
    absent += [f"{info.name}: {text}" for text in _absent(info, counts, what)] if judged else []
    if counts.get("train") and "test" in counts:
        alone = [name for name in present if not counts["test"].get(name)]
        found.notes += [f"{info.name}: class `{name}` has no {what} in the test set" for name in alone]
    return found


def _unfit_sets(info: DatasetCard, counts: Counts) -> Iterator[str]:
    """What is wrong with the division that a user's data bring."""
    if info.reader != IMAGE_FOLDER:
        return
    if NO_SPLIT in counts and len(counts) > 1:
        known = ", ".join(SPLIT_FOLDERS)
        yield f"some images are in a set and others in none; folders of a set are called {known}"


def _absent(info: DatasetCard, counts: Counts, what: str) -> Iterator[str]:
    for name in info.classes:
        having = [split for split, of_class in counts.items() if of_class.get(name)]
        if not having:
            yield f"class `{name}` has no {what}; remove it from `classes`, or add images of it"
        elif "train" in counts and "train" not in having:
            yield f"class `{name}` has no {what} in the training set, and some in the test set"
