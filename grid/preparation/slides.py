"""Slides of a cohort to Parquet files of patches, in parallel over a cluster through Ray Data.

A killed extraction goes on at the first slide whose file is not there. A slide that cannot be read or has no
valid patch is listed in the manifest with the reason and stops nobody. Also a command:
`python -m grid.slides NAME DIR --to DIR`, which prints the counts beside the paper's Table 4.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grid.claims.published import FOLDER as PUBLISHED
from grid.preparation.pipeline import Making, carry_out, mapped
from medpt.data import open_dataset
from medpt.data.cards import card
from medpt.data.dataset import Dataset, Record
from medpt.data.fingerprint import fingerprint
from medpt.errors import InputError
from medpt.spec import Slides
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
    making: Making
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
    yield from carry_out(jobs, _extract, lambda info: on_slides(1))


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

    return mapped([item for job in jobs.values() for item in job.todo()], write)


def table4(manifest: CohortManifest) -> list[str]:
    """Our counts beside the paper's, a line each."""
    paper = published().get(manifest.spec.dataset, {})
    ours = manifest.table4()
    lines = [f"{manifest.spec.dataset:<20} {'ours':>9} {'paper':>9}"]
    return lines + [f"{name:<20} {count:>9,} {paper.get(name, '-'):>9}" for name, count in ours.items()]


def published() -> dict[str, dict[str, str]]:
    """Table 4 of the paper: dataset to row to count."""
    found: dict[str, dict[str, str]] = {}
    with (PUBLISHED / "prose.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["note"].startswith("Table 4"):
                found.setdefault(row["target"], {})[row["metric"]] = f"{int(row['mean']):,}"
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grid.slides", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the dataset, as `python -m medpt.data list` calls it")
    parser.add_argument("folder", type=Path, help="the owner's files")
    parser.add_argument("--to", type=Path, required=True, help="where the patches go")
    parser.add_argument("--candidates", type=int, help="boxes a slide; default: as the paper's counts imply")
    parser.add_argument("--box", type=int, help="side of a box in pixels of 0.5 microns; default: 512")
    parser.add_argument("--size", type=int, help="side of a stored patch; default: 256")
    options = parser.parse_args(arguments)
    try:
        manifest = extract_one(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(table4(manifest)))
    print(", ".join(f"{count:,} {reason}" for reason, count in manifest.refused().items()))
    for problem in manifest.problems:
        print(f"left out: {problem}")
    return 0


def extract_one(options: argparse.Namespace) -> CohortManifest:
    name = card(options.name).name
    dataset = open_dataset(name, options.folder)
    given = {key: getattr(options, key) for key in ("candidates", "box", "size")}
    patches = {key: value for key, value in given.items() if value is not None}
    job = Job(name, Slides(name, fingerprint(dataset.root), patches=patches), dataset, Making(options.to))
    from grid.cluster.ray_session import local_ray

    with local_ray():
        ((_, ended),) = extract_all([job], lambda slides: print(".", end="", flush=True))
    print()
    if isinstance(ended, Exception):
        raise ended
    return ended


if __name__ == "__main__":
    sys.exit(main())
