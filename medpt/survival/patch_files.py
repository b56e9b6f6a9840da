"""The patches of a cohort on disk: a Parquet file for each slide, and their manifest.

A JSON file beside each Parquet file marks the slide as finished. cohort.json is written last; without it the
cohort is not prepared. It lists slides that cannot be read or have no valid patch, with the reason. These are
tried again whenever the cohort is prepared again; other slides only if their file, their options or the size
of the slide changed.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpt.data.dataset import Dataset, Record
from medpt.data.manifest import ShardInfo, damage, shard_info
from medpt.errors import InputError
from medpt.files import read_json, replacing, sha256, write_json
from medpt.identity import canonical_json
from medpt.specs import Slides
from medpt.survival.patches import PatchOptions, options_of

if TYPE_CHECKING:
    from medpt.survival.slides import Patches

FORMAT = 1  # of the folder; raise it when a reader of the old one would go wrong
MANIFEST = "cohort.json"
NUMBERS = {"x": np.int32, "y": np.int32, "tissue": np.float32, "focus": np.float32}
ZSTD_LEVEL = 3


@dataclass(frozen=True)
class Patient:
    """A patient: `time` in days, above 0; `event`: died; `age` in years and `grade`, None if unknown."""

    name: str
    time: float
    event: bool
    age: float | None = None
    grade: int | None = None


@dataclass(frozen=True)
class SlideInfo:
    """One slide: of `extracted` candidates `file.rows` are patches and `refused`, by reason, are not.

    If there is no file, `file.name` is empty and `file.problems` says why. `note` is medpt.survival.slides'.
    """

    slide: str  # the record's id
    patient: str
    file: ShardInfo
    extracted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CohortManifest:
    """The content of a folder of patches; round-trips through cohort.json. Slides are sorted by id."""

    spec: Slides
    size: int  # S of patches (S, S, 3)
    patients: tuple[Patient, ...]
    slides: tuple[SlideInfo, ...]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        return sum(slide.file.rows for slide in self.slides)

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(problem for slide in self.slides for problem in slide.file.problems)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is strange about slides that are used."""
        return tuple(slide.note for slide in self.slides if slide.note)

    def table4(self) -> dict[str, int]:
        """Return the rows of the paper's Table 4; valid patches include those out of focus."""
        read = [slide for slide in self.slides if slide.extracted]
        return {
            "patients": len({slide.patient for slide in read}),
            "WSIs": len(read),
            "extracted patches": sum(slide.extracted for slide in read),
            "valid patches": self.rows,
        }

    def refused(self) -> dict[str, int]:
        """Return the number of candidates that are not patches, by reason."""
        return dict(sum((Counter(slide.refused) for slide in self.slides), Counter()))

    @staticmethod
    def read(folder: Path) -> "CohortManifest":
        """Read cohort.json; raise InputError if it is missing, not a manifest or of another format."""
        path = folder / MANIFEST
        try:
            value = read_json(path)
            if value["format"] != FORMAT:
                raise InputError(f"{path}: format {value['format']}; accepted: {FORMAT}; prepare it again")
            return CohortManifest(
                Slides(**value["spec"]),
                value["size"],
                tuple(Patient(**patient) for patient in value["patients"]),
                tuple(_slide_info(slide) for slide in value["slides"]),
            )
        except FileNotFoundError:
            raise InputError(f"{path}: missing; {folder} holds no prepared cohort") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: not a manifest of a cohort ({error}); prepare it again") from None


def plan(dataset: Dataset) -> list[Record]:
    """Return the slides of a cohort, sorted by id."""
    return sorted(dataset, key=lambda record: record.id)


def slide_path(folder: Path, record: Record) -> Path:
    """Return the Parquet file: the slide's name without its uuid, and a hash that distinguishes copies."""
    name = Path(record.image_path).name.split(".")[0]
    return folder / f"{name}-{hashlib.sha256(record.id.encode()).hexdigest()[:8]}.parquet"


def finished(folder: Path, root: Path, record: Record, spec: Slides) -> SlideInfo | None:
    """Return the facts of a slide whose file is complete and made from it by `spec`, else None."""
    path = slide_path(folder, record)
    try:
        info = _slide_info(read_json(path.with_suffix(".json")))
        same = info.file.plan == _plan(root, record, spec)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return info if same and not damage(folder, info.file) else None


def write(folder: Path, root: Path, record: Record, spec: Slides) -> SlideInfo:
    """Extract one slide into its Parquet file, then write its JSON file; both appear complete.

    A slide that cannot be read, or has no valid patch, gets no file; the result holds its problem.
    """
    from medpt.survival.slides import extract

    options = options_of(spec.dataset, spec.patches)
    try:
        found = extract(root / record.image_path, options, spec.seed)
    except InputError as error:
        return SlideInfo(record.id, record.patient_id, _no_file(*error.problems))
    counts = (found.extracted, found.refused)
    if not len(found):
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.refused.items())
        none = _no_file(f"{root / record.image_path}: no valid patch ({reasons})")
        return SlideInfo(record.id, record.patient_id, none, *counts)
    path = slide_path(folder, record)
    with replacing(path) as temporary:
        _write_parquet(found, record, options, temporary)
    file = (path.name, len(found), path.stat().st_size, sha256(path), _plan(root, record, spec))
    info = SlideInfo(record.id, record.patient_id, ShardInfo(*file), *counts, found.note)
    write_json(path.with_suffix(".json"), asdict(info))
    return info


def _no_file(*problems: str) -> ShardInfo:
    return ShardInfo("", 0, 0, "", "", problems)


def _plan(root: Path, record: Record, spec: Slides) -> str:
    """Hash what a slide's file is made from; by its size a truncated download differs from a complete one."""
    options = asdict(options_of(spec.dataset, spec.patches))
    size = (root / record.image_path).stat().st_size
    text = canonical_json([FORMAT, record.id, record.patient_id, size, options, spec.seed])
    return hashlib.sha256(text.encode()).hexdigest()


def _write_parquet(found: "Patches", record: Record, options: PatchOptions, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = {"slide": [record.id] * len(found), "patient": [record.patient_id] * len(found)}
    numbers = {name: getattr(found, name) for name in NUMBERS}
    width = options.size**2 * 3
    pixels = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(found), [None, pa.py_buffer(found.pixels)]
    )
    table = pa.table({**names, **numbers, "pixels": pixels})
    parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=list(names),
        write_statistics=[*names, *numbers],
    )


def write_manifest(
    folder: Path, dataset: Dataset, spec: Slides, infos: Sequence[SlideInfo]
) -> CohortManifest:
    """Write cohort.json for all slides, in the order of `plan`; this marks the cohort as prepared.

    Raises InputError with every problem if no slide has a patch.
    """
    patients = {record.patient_id: _patient(record) for record in dataset}
    size = options_of(spec.dataset, spec.patches).size
    manifest = CohortManifest(spec, size, tuple(patients[name] for name in sorted(patients)), tuple(infos))
    if not manifest.rows:
        raise InputError([f"{spec.dataset}: no slide has a valid patch", *manifest.problems])
    write_json(folder / MANIFEST, asdict(manifest))
    return manifest


def verify(folder: Path) -> CohortManifest:
    """Read all files of a prepared cohort; raise InputError with each that differs from the manifest."""
    manifest = CohortManifest.read(folder)
    files = [slide.file for slide in manifest.slides if slide.file.name]
    found = [(file.name, damage(folder, file)) for file in files]
    if problems := [f"{folder / name}: {what}; prepare the slides again" for name, what in found if what]:
        raise InputError(problems)
    return manifest


def _patient(record: Record) -> Patient:
    facts = {name: record.meta.get(name) for name in ("age", "grade")}
    return Patient(record.patient_id, record.meta["time"], record.meta["event"], **facts)


def _slide_info(value: dict[str, Any]) -> SlideInfo:
    return SlideInfo(**{**value, "file": shard_info(value["file"])})
