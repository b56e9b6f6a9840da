"""REFUGE by image: glaucoma or not. Training labels are in the names (g, n), the others in Excel sheets."""

from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record, Split
from medpt.data.readers import refuge
from medpt.data.readers.image_files import image
from medpt.data.tables import sheet_rows, whole_number

NAME = "ImgName"
COLUMNS = ("Glaucoma Label", "Label(Glaucoma=1)")  # of the validation set's sheet, and of the test set's
CLASS_FOLDERS = {"g": "glaucoma", "n": "non-glaucoma"}


def open(card: DatasetCard, root: Path, test: refuge.Test = "validation400") -> Dataset:
    """Labels 0 no glaucoma, 1 glaucoma; the test set is the publisher's validation set, or its test set.

    Raises InputError for images without a label, training images in the other class's folder, sheets that
    cannot be read, and mixed editions.
    """
    problems: list[str] = []
    found = refuge.find(root, test, problems)
    labels = _sheets(found, refuge.TEST[test], problems)
    for name in found.subset("gn"):
        folder = Path(found.images[name]).parent.name.lower()
        if folder in CLASS_FOLDERS.values() and folder != CLASS_FOLDERS[name[0]]:
            problems.append(
                f"{found.top / found.images[name]}: g is glaucoma, n is not, but its folder says otherwise"
            )
        labels[name] = int(name[0] == "g")
    missing = [name for name in found.images if name not in labels]
    problems += [f"{found.top / found.images[name]}: no label in an Excel sheet" for name in missing]

    def make(name: str, split: Split) -> Record | None:
        if name not in labels:
            return None
        return Record(card.name, found.images[name], name, name, label=labels[name], split=split)

    records = refuge.records(found, test, make)
    return Dataset(card, found.top, records, image, notes=refuge.notes(found, test), problems=tuple(problems))


def _sheets(found: refuge.Files, letter: str, problems: list[str]) -> dict[str, int]:
    """Labels of the test set by image name, from whichever sheets hold them."""
    labels: dict[str, int] = {}
    for path in found.sheets:
        for row, cells in sheet_rows(path, (), problems):
            column = next((name for name in COLUMNS if name in cells), None)
            name = Path(str(cells.get(NAME, ""))).stem.upper()
            if column is None or not name.startswith(letter):
                continue
            label = whole_number(cells[column])
            if label not in (0, 1) or label is None:
                problems.append(f"{path}, row {row}: {column} is {cells[column]!r}; accepted: 0, 1")
            else:
                labels[name] = label
    return labels
