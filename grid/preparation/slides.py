"""Slides of a cohort to Parquet files of patches, in parallel over a cluster through Ray Data.

A killed extraction goes on at the first slide whose file is not there. A slide that cannot be read or has no
valid patch is listed in the manifest with the reason and stops nobody. The command is
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
class Job:
    """One cohort in the making."""

    name: str
    spec: Slides
    dataset: Dataset
    making: Destination
    records: list[Record] = field(default_factory=list)
    done: dict[int, SlideInfo] = field(default_factory=dict)

    def start(self) -> None:
        """Raises InputError for options that are not accepted and for a dataset without survival."""
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
        return [
            {"job": self.name, "number": number, "record": json.dumps(record.to_json())}
            for number, record in enumerate(self.records)
            if number not in self.done
        ]

    @property
    def folder(self) -> Path:
        return self.making.folder

    @property
    def complete(self) -> bool:
        return len(self.done) == len(self.records)

    def seal(self) -> CohortManifest:
        """The manifest, written; InputError where no slide has a patch."""
        infos = [self.done[number] for number in range(len(self.records))]
        manifest = patch_files.seal(self.folder, self.dataset, self.spec, infos)
        for problem in manifest.problems:
            log.warning("%s: slide left out: %s", self.spec.dataset, problem)
        return manifest


Event = tuple[str, CohortManifest | Exception]


def extract_all(jobs: list[Job], on_slides: Callable[[int], object] = lambda slides: None) -> Iterator[Event]:
    """Yields (job name, its manifest or its failure) as each job ends. `on_slides` counts finished slides.

    Ray must be initialised. A job that fails does not touch the others.
    """
    yield from run_jobs(jobs, _extract, lambda info: on_slides(1))


def _extract(jobs: Mapping[str, Job]) -> Iterator[dict[str, Any]]:
    places = {name: (job.making, job.dataset.root, job.spec) for name, job in jobs.items()}

    def write(batch: Any) -> Any:
        name, number = batch["job"][0], int(batch["number"][0])
        making, root, spec = places[name]
        record = Record.from_json(json.loads(batch["record"][0]))
        info = patch_files.write(making.folder, root, record, spec)
        if info.file.name:
            path = making.folder / info.file.name
            making.keep(path, path.with_suffix(".json"))
        return {"job": [name], "number": [number], "info": [info]}

    return map_pieces([item for job in jobs.values() for item in job.todo()], write)
