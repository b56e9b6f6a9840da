"""Classes that a source teaches and a target asks for, pair by pair, and which of them are excluded.

Wen et al. 2021, section 2.1, exclude "the classes shared" and name one: pneumonia, of CheXpert, whose reader
leaves it out (option `exclude`) for every target, so that one pre-training serves them all. From
ChestXRay2017 it cannot be taken: one class would remain. The paper says nothing of the other pairs; they are
kept and listed here. The list is made by hand from the paper's sources and targets: of a user's own dataset
it knows nothing.
"""

from dataclasses import dataclass

from medpt.data.catalog import card

GRADES = "every grade of diabetic retinopathy"
ALIKE = tuple(sorted({*card("ADE20K-Seg").classes} & {*card("CIFAR-100").classes}))


@dataclass(frozen=True)
class Shared:
    """`excluded`: the source's reader leaves images of these classes out unless it is told otherwise."""

    source: str
    target: str
    classes: tuple[str, ...]
    excluded: bool
    note: str


SHARED = (
    Shared(
        *("CheXpert", "ChestXRay2017", ("Pneumonia",), True),
        "positive or uncertain, for every target; Consolidation and Lung Opacity are near it and stay",
    ),
    Shared(
        *("EyePACS", "MESSIDOR", (GRADES,), False),
        "nothing would be left; the paper pre-trains on it all the same",
    ),
    Shared(
        "STARE-CLS",
        "MESSIDOR",
        ("background diabetic retinopathy", "proliferative diabetic retinopathy"),
        False,
        "two of fifteen diagnoses, in the collection M6-CLS",
    ),
    Shared("STARE-SEG", "DRIVE", ("vessel",), False, "the source's only class, in the collection M6-SEG"),
    Shared("STARE-SEG", "HRF", ("vessel",), False, "the source's only class, in the collection M6-SEG"),
    Shared("ADE20K-Seg", "CIFAR-100", ALIKE, False, "of 150 classes, by name"),
    Shared("ImageNet", "CIFAR-100", ("most of them",), False, "under other names; the paper's imagenet* too"),
)


def excluded_classes(source: str) -> tuple[str, ...]:
    """What the reader of the source leaves out by itself."""
    return tuple(
        name for entry in SHARED if entry.excluded and entry.source == source for name in entry.classes
    )
