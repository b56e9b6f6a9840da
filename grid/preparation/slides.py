"""Slides of a cohort to Parquet files of patches, in parallel over a cluster through Ray Data.

A killed extraction resumes at the first slide whose file is not there. A slide that cannot be read or has no
valid patch is listed in the manifest with the reason, and does not affect the others. The command is
grid/slides.py.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grid.preparation.pipeline import Destination, map_pieces, run_jobs
from medpt.data.dataset import Dataset, Record
from medpt.errors import InputError
from medpt.specs import Slides
from medpt.survival import patch_files
from medpt.survival.patch_files import CohortManifest, SlideInfo
from medpt.survival.patches import options_of

log = logging.getLogger(__name__)


@dataclass
class PatchJob:
    """One cohort whose patches are extracted."""

    name: str
    spec: Slides
    dataset: Dataset
    destination: Destination
    records: list[Record] = field(default_factory=list)
    done: dict[int, SlideInfo] = field(default_factory=dict)

    def start(self) -> None:
        """Find the slides whose files are there already.

        Raise InputError for options that are not accepted and for a dataset without survival.
        """
        options_of(self.spec.dataset, self.spec.patches)
        if self.dataset.info.task != "survival":
            raise InputError(f"{self.spec.dataset}: {self.dataset.info.task}; accepted: slides with survival")
        self.records = patch_files.plan(self.dataset)
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, record in enumerate(self.records):
            info = patch_files.finished(self.folder, self.dataset.root, record, self.spec)
            if info is not None:
                self.done[number] = info

    def todo(self) -> list[dict[str, Any]]:
        """Return an item for each slide that is left: the job's name, the slide's number and record."""
        return [
            {"job": self.name, "number": number, "record": json.dumps(record.to_json())}
            for number, record in enumerate(self.records)
            if number not in self.done
        ]

    @property
    def folder(self) -> Path:
        return self.destination.folder

    @property
    def complete(self) -> bool:
        return len(self.done) == len(self.records)

    def write_manifest(self) -> CohortManifest:
        """Write the manifest and return it. Raise InputError if no slide has a patch."""
        infos = [self.done[number] for number in range(len(self.records))]
        manifest = patch_files.write_manifest(self.folder, self.dataset, self.spec, infos)
        for problem in manifest.problems:
            log.warning("%s: slide excluded: %s", self.spec.dataset, problem)
        for note in manifest.notes:
            log.warning("%s: %s", self.spec.dataset, note)
        return manifest


def extract_all(
    jobs: list[PatchJob], on_slides: Callable[[int], object] = lambda slides: None
) -> Iterator[tuple[str, CohortManifest | Exception]]:
    """Yield (job name, its manifest or its error) as each job ends; `on_slides` counts finished slides.

    Ray must be initialised. A job that fails does not affect the others.
    """
    yield from run_jobs(jobs, _extract, lambda info: on_slides(1))


def _extract(jobs: Mapping[str, PatchJob]) -> Iterator[dict[str, Any]]:
    parts = {name: (job.destination, job.dataset.root, job.spec) for name, job in jobs.items()}

    def write(batch: Any) -> Any:
        name, number = batch["job"][0], int(batch["number"][0])
        destination, root, spec = parts[name]
        record = Record.from_json(json.loads(batch["record"][0]))
        info = patch_files.write(destination.folder, root, record, spec)
        if info.file.name:
            path = destination.folder / info.file.name
            destination.upload(path, path.with_suffix(".json"))
        return {"job": [name], "number": [number], "info": [info]}

    return map_pieces([item for job in jobs.values() for item in job.todo()], write)
