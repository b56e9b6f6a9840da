"""Overall survival of TCGA patients, from the table that each release of the data has."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medpt.data.tables import csv_lines
from medpt.errors import InputError

PATIENT = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}")
MOBADERSANY, GDC, FOLLOW_UP = "all_dataset.csv", "clinical.tsv", "follow_up.tsv"
GBM_SITES = "02 06 08 12 14 15 19 26 27 28 41 81 87 4W OX RR"  # characters 6 and 7 of a patient
COLUMNS = {
    "patient": ("cases.submitter_id", "case_submitter_id", "submitter_id", "bcr_patient_barcode"),
    "status": ("demographic.vital_status", "vital_status"),
    "death": ("demographic.days_to_death", "days_to_death", "death_days_to"),
    "follow_up": (
        "diagnoses.days_to_last_follow_up",
        "days_to_last_follow_up",
        "days_to_last_followup",
        "last_contact_days_to",
    ),
}
FOLLOW_UPS = {"patient": COLUMNS["patient"], "days": ("follow_ups.days_to_follow_up", "days_to_follow_up")}
FACTS = {  # what may be absent
    "age": ("demographic.age_at_index", "age_at_index", "age_at_initial_pathologic_diagnosis", "age"),
    "age_days": ("diagnoses.age_at_diagnosis", "age_at_diagnosis"),
    "grade": ("diagnoses.tumor_grade", "tumor_grade", "neoplasm_histologic_grade", "Grade"),
}
GRADES = "grade_data.csv"
DAYS_A_YEAR = 365.25
MISSING = ("", "'--", "--", "not reported", "unknown", "nan", "na", "n/a", "none", "null")
ENOUGH = 20  # patients from which on the share of events is informative


@dataclass(frozen=True)
class Survival:
    """`time` in days, `age` in years; None where the publisher gives none."""

    time: float | None
    event: bool
    age: float | None = None
    grade: int | None = None


def read_survival(
    root: Path, paths: list[Path], project: str, problems: list[str]
) -> tuple[Path, dict[str, Survival]]:
    """The table, and what it says of the project's patients."""
    legacy = f"nationwidechildrens.org_clinical_patient_{project.lower()}.txt"
    for name in (MOBADERSANY, GDC, legacy):
        path = next((path for path in paths if path.name.lower() == name), None)
        if path is not None and name == MOBADERSANY:
            return path, _graded(paths, _mobadersany(path, project, problems), problems)
        if path is not None:
            return path, _clinical(path, project, _follow_ups(paths, problems), problems)
    raise InputError(f"{root}: expected {MOBADERSANY}, {GDC} or {legacy} here or below")


def _mobadersany(path: Path, project: str, problems: list[str]) -> dict[str, Survival]:
    found: dict[str, Survival] = {}
    for line, row in _rows(
        path, {name: (name,) for name in ("TCGA ID", "censored", "Survival months")}, problems
    ):
        name, censored = row["TCGA ID"][:12], row["censored"].strip()
        if not PATIENT.fullmatch(name) or censored not in ("0", "1", "0.0", "1.0"):
            problems.append(
                f"{path}, line {line}: {name!r}, censored {censored!r}; accepted: TCGA-02-0001, 0 or 1"
            )
        elif (name[5:7] in GBM_SITES) == (project == "GBM"):
            days = _days(row["Survival months"], f"{path}, line {line}", problems)
            found.setdefault(name, Survival(_positive(days), float(censored) == 0))
    return found


def _graded(paths: list[Path], patients: dict[str, Survival], problems: list[str]) -> dict[str, Survival]:
    """With the age and grade of Mobadersany's second table, where it is there."""
    path = next((path for path in paths if path.name.lower() == GRADES), None)
    for line, row in _rows(path, {"patient": ("TCGA ID",)}, problems) if path else ():
        name = row["patient"][:12]
        if name in patients:
            age, grade = _facts(row, f"{path}, line {line}", problems)
            patients[name] = replace(patients[name], age=age, grade=grade)
    return patients


def _follow_ups(paths: list[Path], problems: list[str]) -> dict[str, float]:
    """Days of the last follow-up of each patient in the GDC's own table of them, which has a row for each."""
    path = next((path for path in paths if path.name.lower() == FOLLOW_UP), None)
    found: dict[str, float] = {}
    for line, row in _rows(path, FOLLOW_UPS, problems) if path else ():
        days = _days(row["days"], f"{path}, line {line}", problems)
        found[row["patient"]] = max(found.get(row["patient"], 0.0), days or 0.0)
    return found


def _facts(row: Mapping[str, str], place: str, problems: list[str]) -> tuple[float | None, int | None]:
    """Age in years and grade; a grade that is no number (such as GX or High Grade) is unknown."""
    years = _days(row.get("age", ""), place, problems)
    if years is None and (days := _days(row.get("age_days", ""), place, problems)) is not None:
        years = days / DAYS_A_YEAR
    grade = re.fullmatch(r"G?([1-4])(\.0)?", row.get("grade", "").strip())
    return years, int(grade[1]) if grade else None


def _clinical(
    path: Path, project: str, follow_ups: Mapping[str, float], problems: list[str]
) -> dict[str, Survival]:
    """Of several rows of a patient (several diagnoses) the first counts, and the longest follow-up."""
    found: dict[str, Survival] = {}
    needed = {key: names for key, names in COLUMNS.items() if key != "follow_up" or not follow_ups}
    for line, row in _rows(path, COLUMNS, problems, needed):
        name, place = row["patient"], f"{path}, line {line}"
        if name == "bcr_patient_barcode" or name.startswith("CDE_ID"):
            continue  # the second and third line of the legacy tables
        if not PATIENT.fullmatch(name):
            problems.append(f"{place}: {name!r} is no patient; accepted: such as TCGA-02-0001")
        elif row.get("project", f"TCGA-{project}") == f"TCGA-{project}":
            outcome = _outcome(row, follow_ups.get(name, 0.0), place, problems)
            if (
                name in found
                and outcome.event != found[name].event
                and None not in (outcome.time, found[name].time)
            ):
                problems.append(f"{place}: {name} is dead in one row and alive in another")
            found[name] = _longer(found.get(name), outcome)
    return found


def _longer(first: Survival | None, second: Survival) -> Survival:
    if first is None:
        return second
    if first.event or second.time is None:
        return first
    return replace(first, time=max(first.time or 0.0, second.time))


def _outcome(row: Mapping[str, str], followed: float, place: str, problems: list[str]) -> Survival:
    """What a row says; of the living with `followed` days of another table, where those are more."""
    status = row["status"].strip().lower()
    event = status in ("dead", "deceased")
    if not event and status not in ("alive", "living"):
        if not _is_missing(status):
            problems.append(f"{place}: vital status {row['status']!r}; accepted: Alive or Dead")
        return Survival(None, event=False)
    days = _days(row.get("death" if event else "follow_up", ""), place, problems)
    days = days if event else max(days or 0.0, followed)
    return Survival(_positive(days), event, *_facts(row, place, problems))


def _days(text: str, place: str, problems: list[str]) -> float | None:
    if _is_missing(text):
        return None
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not math.isfinite(days):
        problems.append(f"{place}: {text!r} is no number of days")
        return None
    return days


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING or text.startswith("[")


def _positive(days: float | None) -> float | None:
    return days if days is not None and days > 0 else None


def _rows(
    path: Path,
    columns: Mapping[str, tuple[str, ...]],
    problems: list[str],
    needed: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by the keys of `columns` under one of their names, of the project and FACTS.

    Those of `needed` (default: all of `columns`) must be there.
    """
    lines = csv_lines(path, "," if path.suffix == ".csv" else "\t")
    header = next(lines, (1, []))[1]
    known = len(problems)
    wanted = {**FACTS, "project": ("project_id",), **columns}
    at = {key: _column(header, accepted, path, problems) for key, accepted in wanted.items()}
    missing = [" or ".join(columns[key]) for key in needed or columns if at[key] is None]
    problems += [f"{path}, line 1: no column {name}" for name in missing]
    if len(problems) > known:
        return
    for line, cells in lines:
        if len(cells) < len(header) or any(cells[len(header) :]):
            problems.append(f"{path}, line {line}: {len(cells)} cells; the header has {len(header)}")
        else:
            yield line, {key: cells[n] for key, n in at.items() if n is not None}


def _column(header: list[str], accepted: Sequence[str], path: Path, problems: list[str]) -> int | None:
    """Where the first accepted column is: by its whole name, else by what follows the table's name and a dot.

    Adds a problem where several columns end so, which means different things (`cases.submitter_id`,
    `treatments.submitter_id`), or have one name.
    """
    for name in accepted:
        whole = [n for n, column in enumerate(header) if column == name]
        found = whole or [n for n, column in enumerate(header) if column.rpartition(".")[2] == name]
        if len(found) > 1:
            names = ", ".join(header[n] for n in found)
            problems.append(f"{path}, line 1: several columns are `{name}`: {names}; accepted: one")
        if found:
            return found[0]
    return None


def inverted(table: Path, project: str, patients: Mapping[str, Survival]) -> list[str]:
    known = [survival.event for survival in patients.values() if survival.time is not None]
    share = sum(known) / max(1, len(known))
    if len(known) < ENOUGH or (share > 0.5) == (project == "GBM"):
        return []
    expected = "most" if project == "GBM" else "less than half"
    return [
        f"{table}: {share:.0%} of the {project} patients died, expected {expected}: is censored inverted?"
    ]
