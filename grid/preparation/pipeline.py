"""Resumable jobs made of pieces, shared by preparing images and extracting patches.

A job knows its pieces and which of them are there already. Ray Data writes the others in parallel, and each
job gets its manifest as its last piece ends. A job that fails does not affect the others.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from medpt.errors import InputError

AnyManifest = TypeVar("AnyManifest", covariant=True)
Rows = Iterator[dict[str, Any]]  # "job", "number" and "info" of each piece that is written


def _nothing(*paths: Path) -> None:
    """Do nothing: on a disk that all nodes share, the files are where they belong."""


@dataclass(frozen=True)
class Destination:
    """Where pieces are written; `upload` copies files to the store, `download_all` fetches them all."""

    folder: Path
    upload: Callable[..., None] = _nothing
    download_all: Callable[[], None] = _nothing


class Job(Protocol[AnyManifest]):
    """A dataset or cohort that is prepared; `done` describes each finished piece, by its number."""

    name: str
    destination: Destination
    done: dict[int, Any]

    def start(self) -> None:
        """Find the pieces that are there already. Raise InputError if nothing can be prepared."""

    @property
    def complete(self) -> bool: ...

    def write_manifest(self) -> AnyManifest:
        """Write the manifest and return it. Raise InputError if the pieces cannot be used."""


AnyJob = TypeVar("AnyJob", bound=Job[Any])


def run_jobs(
    jobs: Sequence[AnyJob], write: Callable[[Mapping[str, AnyJob]], Rows], on_piece: Callable[[Any], object]
) -> Iterator[tuple[str, Any]]:
    """Yield (job name, its manifest or its error) as each job ends; call `on_piece` with each new piece."""
    unfinished: dict[str, AnyJob] = {}
    for job in jobs:
        job.destination.download_all()
        try:
            job.start()
        except InputError as error:
            yield job.name, error
            continue
        if job.complete:
            yield job.name, _manifest_or_error(job)
        else:
            unfinished[job.name] = job
    for row in write(unfinished) if unfinished else ():
        job = unfinished[row["job"]]
        job.done[row["number"]] = row["info"]
        on_piece(row["info"])
        if job.complete:
            yield job.name, _manifest_or_error(job)


def _manifest_or_error(job: Job[AnyManifest]) -> AnyManifest | Exception:
    try:
        job.destination.download_all()
        return job.write_manifest()
    except (InputError, OSError) as error:
        return error


def map_pieces(items: Sequence[Mapping[str, Any]], write: Callable[[Any], Any]) -> Rows:
    """Call `write` with each item, as a batch of one, in as many tasks at once as the cluster has CPUs."""
    import ray

    quiet_ray_data()
    blocks = ray.data.from_items(list(items), override_num_blocks=len(items))
    # The tasks ask for no CPU: Ray Tune keeps the CPUs of processes that wait for their next trial, and that
    # trial may need these data (measured: both wait forever).
    at_once = min(len(items), max(1, int(ray.cluster_resources().get("CPU", 1))))
    yield from blocks.map_batches(write, batch_size=1, num_cpus=0, concurrency=at_once).iter_rows()


def quiet_ray_data() -> None:
    """Keep the progress bars and plans of Ray Data off the terminal."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
