"""What the folder of a comparison is: a card, the images that it describes, and what is a guess."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medpt.data import Dataset, open_as
from medpt.data.card import FILE, DatasetCard
from medpt.data.card_draft import card_text
from medpt.data.card_reader import read_card
from medpt.data.catalog import names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.folder_description import describe_folder
from medpt.data.folder_guesses import Guess
from medpt.data.splits import assign
from medpt.errors import InputError

CLASSES_SHOWN = 8
SIDES = 5  # images whose size is looked at
SHOWN = ("modality", "masks", "values", "patient")  # guesses of the description, in the order of the lines


@dataclass(frozen=True)
class Target:
    """A folder of images that can be trained on and tested.

    `draft` is the text of a card, empty where the folder has its own. `train` and `test` count the images of
    one split; `side` is the largest short side among a few images, in pixels. `guesses` has a reason for each
    key that was inferred.
    """

    home: Path
    card: DatasetCard
    draft: str
    images: int
    patients: int
    train: int
    test: int
    side: int
    class_images: Mapping[str, int] = field(default_factory=dict)
    guesses: Mapping[str, Guess] = field(default_factory=dict)

    @property
    def unsure(self) -> tuple[str, ...]:
        return tuple(key for key, guess in self.guesses.items() if guess.unsure)

    def lines(self) -> Iterator[tuple[str, str, bool]]:
        """Yield what was understood: a key, its value with the reason, and whether it is unsure."""
        card, guesses = self.card, self.guesses
        yield self._line("task", card.task)
        counts = ", ".join(
            f"{name} {count:,}" for name, count in list(self.class_images.items())[:CLASSES_SHOWN]
        )
        yield self._line("classes", counts or ", ".join(card.classes[:CLASSES_SHOWN]))
        yield "images", f"{self.images:,} in {self.home / str(card.images)}, short side {self.side} px", False
        for key in SHOWN:
            if key in guesses:
                value = f"{self.patients:,}" if key == "patient" else str(getattr(card, key, "") or "")
                yield self._line("patients" if key == "patient" else key, value, key)
        if "patient" not in guesses:
            yield "patients", f"{self.patients:,}", False
        yield "test set", self._test_set(), False

    def _line(self, name: str, value: str, key: str = "") -> tuple[str, str, bool]:
        guess = self.guesses.get(key or name)
        return name, f"{value}: {guess.reason}" if guess else value, bool(guess and guess.unsure)

    def _test_set(self) -> str:
        if self.card.official_split:
            return f"given by the data: {self.test:,} images"
        if self.card.folds > 1:
            return f"a fifth of the patients, drawn anew in each split: {self.test:,} images"
        return f"a fifth of the patients, drawn once: {self.test:,} images"


def understand(home: Path) -> Target:
    """Describe a folder by its own card, or infer one.

    Raises InputError where the folder cannot be understood, with what was found and what is accepted, and
    where files and labels do not fit together.
    """
    taken = (*names(), *COLLECTIONS)
    if (home / FILE).is_file():
        return _target(home, read_card(home / FILE, taken), "", {})
    described = describe_folder(home)
    draft = card_text(described)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_text(draft, encoding="utf-8")
        card = read_card(path, taken, home)
    return _target(home, card, draft, described.guesses)


def _target(home: Path, card: DatasetCard, draft: str, guesses: Mapping[str, Guess]) -> Target:
    try:
        dataset = open_as(card, home)
        sets = assign(dataset.records, "official" if card.official_split else "random", 0)
    except InputError as error:
        hint = (
            f"if {home} was misunderstood, `medpt-data init` drafts a card in a folder that you can write to"
        )
        raise InputError(
            [*error.problems, *([f"{hint}; correct it and compare again"] if draft else [])]
        ) from None
    return Target(
        home=home,
        card=card,
        draft=draft,
        images=len(dataset),
        patients=len({record.patient_id for record in dataset.records}),
        train=sets.count("train"),
        test=sets.count("test"),
        side=max(min(dataset.image(record).shape[:2]) for record in dataset.records[:SIDES]),
        class_images=_class_images(dataset),
        guesses=guesses,
    )


def _class_images(dataset: Dataset) -> dict[str, int]:
    """Images by class, or by finding; empty for masks."""
    classes = dataset.info.classes
    counts: Counter[int] = Counter()
    for record in dataset.records:
        if isinstance(record.label, tuple):
            counts.update(n for n, value in enumerate(record.label) if value == 1)
        elif record.label is not None:
            counts[record.label] += 1
    return {name: counts[n] for n, name in enumerate(classes)} if counts else {}
