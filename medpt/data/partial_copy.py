"""Whether a copy of a built-in dataset has all the images that its publisher counts.

Survival cohorts are not compared: the Genomic Data Commons hands out the slides that one selects, with the
clinical table of their patients. Neither are synthetic data, which have a hidden file that says so.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from medpt.data.card import IMAGE_FOLDER
from medpt.data.dataset import Dataset

SYNTHETIC = ".synthetic"  # hidden, so that no fingerprint sees it
OUTER_FOLDERS = 4  # that a layout may have above the root of its reader


@dataclass(frozen=True)
class PartialCopy:
    """A copy with `images` of the `published` ones; `parts` says the same of each part that lacks some."""

    images: int
    published: int
    parts: tuple[str, ...]

    def __str__(self) -> str:
        text = f"a partial copy: {self.images:,} of {self.published:,} images"
        return f"{text} ({', '.join(self.parts)})"


def mark_synthetic(folder: Path) -> None:
    """Mark a folder as synthetic data, whose counts are not the publisher's."""
    (folder / SYNTHETIC).write_text("drawn by medpt.phantom; not the publisher's images\n")


def is_synthetic(root: Path) -> bool:
    """Whether a dataset's root lies in a folder that `mark_synthetic` marked."""
    above = (root, *root.absolute().parents[:OUTER_FOLDERS])
    return any((folder / SYNTHETIC).is_file() for folder in above)


def images_by_part(dataset: Dataset) -> Counter[str]:
    """Count the images of each split, with the sound ones that the reader excludes on purpose."""
    found = Counter[str](record.split or "train" for record in dataset)
    found.update(dataset.excluded)
    return found


def has_published_counts(dataset: Dataset) -> bool:
    """Whether its images should be as many as its card says."""
    return dataset.info.task != "survival" and not is_synthetic(dataset.root)


def find_partial(dataset: Dataset) -> PartialCopy | None:
    """Return what a copy of a built-in dataset lacks; None where no part has fewer images than published."""
    counts, found = dataset.info.counts, images_by_part(dataset)
    if dataset.info.reader == IMAGE_FOLDER or not has_published_counts(dataset):
        return None
    if not any(found[part] < number for part, number in counts.items()):
        return None
    parts = tuple(f"{part} {found[part]:,} of {n:,}" for part, n in counts.items() if found[part] < n)
    return PartialCopy(found.total(), sum(counts.values()), parts)
