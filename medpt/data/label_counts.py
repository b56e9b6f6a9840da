"""How many images or pixels each class has in each split, and what of that no training can make up for."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from medpt.data.card import IMAGE_FOLDER, DatasetCard
from medpt.data.dataset import Dataset

Counts = Mapping[str, Mapping[str, int]]  # by split, by class
NO_SPLIT = "dataset"  # where the split is still to be drawn


@dataclass
class LabelFindings:
    """`problems` make training pointless; `notes` can be intended."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def image_counts(dataset: Dataset) -> dict[str, Counter[str]]:
    """Images of each class by split, of a classification."""
    counts: dict[str, Counter[str]] = {}
    classes = dataset.info.classes
    for record in dataset:
        if record.label is not None and record.label in range(len(classes)):
            counts.setdefault(record.split or NO_SPLIT, Counter())[classes[record.label]] += 1
    return counts


def judge(info: DatasetCard, counts: Counts) -> LabelFindings:
    """What is wrong with the counts of images (classification) or pixels (segmentation).

    A training set of one class is a problem of any dataset. A class that is absent is a problem of a user's,
    whose card names it, and a note of a built-in one, which may be a part of a copy.
    """
    found = LabelFindings()
    what = "image" if info.task == "classification" else "pixel"
    training = counts.get("train") or counts.get(NO_SPLIT) or {}
    present = [name for name in info.classes if training.get(name)]
    if len(present) == 1:
        where = "the training set" if counts.get("train") else "the dataset"
        text = f"{where} has {what}s of one class alone, `{present[0]}`: there is nothing to learn from it"
        found.problems.append(f"{info.name}: {text}")
    absent = found.problems if info.reader == IMAGE_FOLDER else found.notes
    absent += [f"{info.name}: {text}" for text in _absent(info, counts, what)] if len(present) > 1 else []
    if counts.get("train") and "test" in counts:
        alone = [name for name in present if not counts["test"].get(name)]
        found.notes += [f"{info.name}: class `{name}` has no {what} in the test set" for name in alone]
    return found


def _absent(info: DatasetCard, counts: Counts, what: str) -> Iterator[str]:
    for name in info.classes:
        having = [split for split, of_class in counts.items() if of_class.get(name)]
        if not having:
            yield f"class `{name}` has no {what}; remove it from `classes`, or add images of it"
        elif "train" in counts and "train" not in having:
            yield f"class `{name}` has no {what} in the training set, and some in the test set"
