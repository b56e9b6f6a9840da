"""Whole slides of TCGA gliomas with overall survival; pixels belong to the survival pipeline.

Slides are known by their names, in whatever folders the download tool made. Survival comes from the first of
these files that lies among them:

- `all_dataset.csv` of Mobadersany et al. 2018, of both projects: `censored` 1 is right-censored, 0 a death,
  and `Survival months` holds days;
- `clinical.tsv` of the GDC, with or without the table's name before a column's, and beside it
  `follow_up.tsv`, which holds the last follow-up since the GDC took it out of `clinical.tsv`;
- `nationwidechildrens.org_clinical_patient_<project>.txt` of the legacy archive.

Age (years at diagnosis) and grade (WHO, 2 to 4) come from the same table, of Mobadersany et al. from
`grade_data.csv` beside it; both may be unknown.

Time is in days: to death, else the longest follow-up. Patients without a status or a positive time are left
out, and so are slides without a patient; notes count them. A share of deaths on the wrong side of one half
stops the reading: a copy of `all_dataset.csv` is about whose `censored` is inverted.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal, NoReturn

from medpt.data.card import DatasetCard
from medpt.data.dataset import Dataset, Record
from medpt.data.file_tree import walk
from medpt.data.readers.tcga_tables import Survival, inverted, read_survival
from medpt.errors import InputError
from medpt.grouping import grouped

SLIDE = re.compile(
    r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-\d{2}[A-Z]-\d{2}-([A-Z]{2}[0-9A-Z]{1,2})\.[0-9A-Fa-f-]{36}\.svs"
)
DIAGNOSTIC = "DX"  # formalin-fixed; BS, MS and TS are frozen sections
Slides = Literal["dx", "all"]


def open(card: DatasetCard, root: Path, slides: Slides = "dx") -> Dataset:
    """One record a slide; `meta`: time (days), event (death observed), slide (such as DX1), age, grade.

    `slides`: the diagnostic ones, or the frozen sections too.
    Raises InputError for slides of other names or there twice, tables without their columns, and values that
    are no days.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    problems: list[str] = []
    project = card.name.removeprefix("TCGA-")
    paths = [Path(entry.path) for entry in walk(root)]
    found = [path for path in paths if path.suffix.lower() == ".svs"]
    table, patients = read_survival(root, paths, project, problems)
    if not found:
        raise InputError(f"{root}: expected slides (.svs) here or below")
    strange = [path for path in found if not SLIDE.fullmatch(path.name)]
    problems += [f"{path}: no TCGA slide; accepted: TCGA-02-0001-01Z-00-DX1.<uuid>.svs" for path in strange]
    problems += _downloaded_twice(path for path in found if path not in strange)
    problems += inverted(table, project, patients)
    if problems:
        raise InputError(problems)
    top = Path(os.path.commonpath([*found, table]))
    return _dataset(card, top, found, patients, slides)


def _downloaded_twice(paths: Iterable[Path]) -> Iterator[str]:
    """Slides of one barcode in several files: each would count twice for its patient."""
    for name, copies in grouped(paths, lambda path: path.name.partition(".")[0]).items():
        if len(copies) > 1:
            yield f"{name} is there {len(copies)} times: {', '.join(map(str, copies))}; keep one"


def _dataset(
    card: DatasetCard, root: Path, found: list[Path], patients: Mapping[str, Survival], slides: Slides
) -> Dataset:
    named = [(path, *_name(path)) for path in found]
    wanted = [entry for entry in named if slides == "all" or entry[2].startswith(DIAGNOSTIC)]
    known = {name for name, survival in patients.items() if survival.time is not None}
    records = tuple(
        Record(
            card.name,
            path.relative_to(root).as_posix(),
            patient,
            patient,
            meta=({**asdict(patients[patient]), "slide": kind}),
        )
        for path, patient, kind in wanted
        if patient in known
    )
    without = sum(patient not in known for _, patient, _ in wanted)
    counts = {
        "frozen sections excluded": len(named) - len(wanted),
        "slides excluded: no survival of their patient": without,
        "patients excluded: no status or no positive time": len(patients) - len(known),
        "patients have survival but no slide": len(known - {patient for _, patient, _ in wanted}),
    }
    notes = tuple(f"{root}: {count} {what}" for what, count in counts.items() if count)
    excluded = {"train": without} if without else {}
    return Dataset(card, root, records, _no_image, notes=notes, excluded=excluded)


def _name(path: Path) -> tuple[str, str]:
    """Patient and kind of section."""
    match = SLIDE.fullmatch(path.name)
    if match is None:
        raise InputError(f"{path}: no TCGA slide")
    return match[1], match[2]


def _no_image(root: Path, record: Record) -> NoReturn:
    raise InputError(
        f"{root / record.image_path}: a whole slide; its patches belong to the survival pipeline"
    )
