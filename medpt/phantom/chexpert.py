"""CheXpert, the small archive: `CheXpert-v1.0-small/{train,valid}.csv` and JPEGs by patient and study.

Traps: paths that begin with the archive's folder, blank and uncertain cells, pneumonia positive and
uncertain, rows with nothing positive, a first view that is lateral, macOS debris.
"""

from pathlib import Path

from medpt.data.readers.chexpert import FINDINGS
from medpt.phantom.chestxray2017 import radiograph
from medpt.phantom.paint import debris, save, stream, to_bytes

COLUMNS = ("No Finding", *FINDINGS, "Support Devices")  # in the publisher's order
HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *COLUMNS]
PATIENTS: tuple[dict[str, str], ...] = (  # by turns; the first four kinds have a class
    {"No Finding": "1.0"},
    {"Edema": "1.0", "Support Devices": "1.0", "Cardiomegaly": "0.0"},
    {"No Finding": "1.0", "Support Devices": "1.0", "Fracture": "0.0"},
    {"Pleural Effusion": "1.0", "Atelectasis": "-1.0"},
    {"Pneumonia": "1.0", "Lung Opacity": "1.0"},
    {"No Finding": "1.0"},
    {"Lung Opacity": "1.0"},
    {"Pneumonia": "-1.0", "Consolidation": "1.0"},
    {"Edema": "-1.0"},
    {"Support Devices": "1.0"},
    {},
)
ARCHIVE = "CheXpert-v1.0-small"
FIRST = {"train": 1, "valid": 64541}  # numbers of patients continue from subset to subset


def write(folder: Path, seed: int, train: int = 120, test: int = 24, size: int = 96) -> None:
    """Grey JPEGs of size x 1.25 size, two of each patient; the radiologists' table has 0 and 1 only."""
    for subset, count in (("train", train), ("valid", test)):
        rows = [",".join(HEADER)]
        for n in range(count):
            number = n // 2
            found = PATIENTS[number % (len(PATIENTS) if subset == "train" else 4)]
            name, view = _name(subset, number, n % 2)
            ill = any(found.get(finding) in ("1.0", "-1.0") for finding in FINDINGS)
            picture = radiograph(stream(seed, "CheXpert", subset, n), size, round(size * 1.25), ill)
            save(folder / ARCHIVE / name, to_bytes(picture), "JPEG")
            rows.append(_row(f"{ARCHIVE}/{name}", number, view, found, radiologists=subset == "valid"))
        (folder / ARCHIVE / f"{subset}.csv").write_text("\n".join(rows) + "\n")
    debris(folder / ARCHIVE / "train" / "patient00001" / "study1", "view1_frontal.jpg")


def _name(subset: str, number: int, second: int) -> tuple[str, str]:
    """Path and view. Each third patient's second image is of another study, there a first view, lateral."""
    patient = f"{subset}/patient{FIRST[subset] + number:05d}"
    if not second:
        return f"{patient}/study1/view1_frontal.jpg", "Frontal"
    return f"{patient}/{'study2/view1' if number % 3 == 2 else 'study1/view2'}_lateral.jpg", "Lateral"


def _row(path: str, number: int, view: str, found: dict[str, str], radiologists: bool) -> str:
    blank = "0.0" if radiologists else ""
    cells = [found.get(name, blank) for name in COLUMNS]
    if radiologists:
        cells = ["1.0" if cell == "1.0" else "0.0" for cell in cells]
    sex, age = "Male" if number % 2 else "Female", str(30 + number % 50)
    return ",".join([path, sex, age, view, "AP" if view == "Frontal" else "", *cells])
