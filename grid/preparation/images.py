"""Original files to Parquet shards, in parallel over a cluster through Ray Data.

One pipeline writes the missing shards of all datasets of a plan. A killed preparation resumes at the first
shard that is not there. The command is grid/prepare.py.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grid.preparation.pipeline import Destination, map_pieces, run_jobs
from medpt.data import shards
from medpt.data.dataset import Dataset, Record
from medpt.data.glibc_memory import kept
from medpt.data.manifest import Manifest, ShardInfo
from medpt.data.optic_disc import mask_locator
from medpt.data.preprocess import roi_side
from medpt.data.shards import Row
from medpt.disc_detector import Detector
from medpt.errors import InputError
from medpt.specs import Prepare


@dataclass
class ShardJob:
    """One dataset that is prepared."""

    name: str
    spec: Prepare
    dataset: Dataset
    destination: Destination
    detector: Detector | None = None  # of what a pipeline with roi is centred on
    chunks: list[Any] = field(default_factory=list)
    done: dict[int, ShardInfo] = field(default_factory=dict)

    def start(self) -> None:
        """Plan the shards and find those that are there already."""
        spec = self.spec
        rows = shards.plan(self.dataset, spec.split, spec.split_seed, spec.sample_size, spec.at_most)
        self.chunks = shards.chunks(rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        for number, chunk in enumerate(self.chunks):
            info = shards.finished(self.folder, number, chunk, self.spec.pipeline)
            if info is not None and not info.problems:  # the images may have been repaired since
                self.done[number] = info

    def todo(self) -> list[dict[str, Any]]:
        """Return an item for each missing shard: the job's name, the shard's number and rows."""
        return [
            {"job": self.name, "number": number, "rows": json.dumps([_row_to_json(row) for row in chunk])}
            for number, chunk in enumerate(self.chunks)
            if number not in self.done
        ]

    def write(self, rows: list[Row], path: Path) -> ShardInfo:
        """Write one shard and upload it."""
        info = shards.write(self.dataset, rows, self.spec.pipeline, path, self._locator())
        self.destination.upload(path, path.with_suffix(".json"))
        return info

    def _locator(self) -> Callable[[Any, Row], tuple[float, float]] | None:
        """Return what finds the centre of a crop: the detector or, without one, the image's own mask."""
        pipeline = self.spec.pipeline
        if self.detector:
            return self.detector.locator(pipeline)
        return mask_locator(self.dataset, pipeline) if roi_side(pipeline) else None

    @property
    def folder(self) -> Path:
        return self.destination.folder

    @property
    def images(self) -> int:
        return sum(map(len, self.chunks))

    @property
    def images_done(self) -> int:
        return sum(len(self.chunks[number]) for number in self.done)

    @property
    def complete(self) -> bool:
        return len(self.done) == len(self.chunks)

    def write_manifest(self) -> Manifest:
        """Write the manifest and return it. Raise InputError with every image that could not be read."""
        infos = [self.done[number] for number in range(len(self.chunks))]
        problems = [problem for info in infos for problem in info.problems]
        if problems:
            raise InputError(f"{self.spec.dataset}: {problem}" for problem in problems)
        return shards.write_manifest(self.folder, self.dataset.info, self.spec, infos)


def prepare_all(
    jobs: list[ShardJob], on_images: Callable[[int], object] = lambda images: None
) -> Iterator[tuple[str, Manifest | Exception]]:
    """Yield (job name, its manifest or its error) as each job ends; `on_images` counts prepared images.

    Ray must be initialised. A job that fails does not affect the others.
    """
    yield from run_jobs(jobs, _write_shards, lambda info: on_images(info.rows))


def _write_shards(jobs: Mapping[str, ShardJob]) -> Iterator[dict[str, Any]]:
    import ray

    # Rows travel with the items, so that a task gets the reader without the whole list of records.
    slim = {
        name: replace(job, dataset=replace(job.dataset, records=job.dataset.records[:1]), chunks=[], done={})
        for name, job in jobs.items()
    }
    reference = ray.put(slim)

    def write(batch: Any) -> Any:
        name, number = batch["job"][0], int(batch["number"][0])
        rows = [Row(Record.from_json(record), split) for record, split in json.loads(batch["rows"][0])]
        job = ray.get(reference)[name]
        path = shards.shard_path(job.folder, number)
        try:
            with kept():
                info = job.write(rows, path)
        except InputError as error:
            info = ShardInfo(path.name, 0, 0, "", "", tuple(error.problems))
        return {"job": [name], "number": [number], "info": [info]}

    return map_pieces([item for job in jobs.values() for item in job.todo()], write)


def _row_to_json(row: Row) -> tuple[dict[str, Any], str]:
    return row.record.to_json(), row.split
