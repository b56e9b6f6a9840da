"""Data on their way into a folder, piece by piece: what preparing images and cutting slides have in common.

A job knows its pieces and which of them are there already; Ray Data writes the others in parallel, and each
job is sealed as its last piece ends. A job that fails does not touch the others.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from medpt.errors import InputError

Sealed = TypeVar("Sealed", covariant=True)
Rows = Iterator[dict[str, Any]]  # "job", "number" and "info" of each piece that is written


def _nothing(*paths: Path) -> None:
    """On a disk that everybody sees, all is where it belongs."""


@dataclass(frozen=True)
class Destination:
    """Where pieces are written: `keep` sees to it that they outlive this node, `gather` has them all here."""

    folder: Path
    keep: Callable[..., None] = _nothing
    gather: Callable[[], None] = _nothing


class Job(Protocol[Sealed]):
    """`done` holds what is known of each finished piece, by its number."""

    name: str
    making: Destination
    done: dict[int, Any]

    def start(self) -> None:
        """Finds what is there already. Raises InputError for what cannot be prepared at all."""

    @property
    def complete(self) -> bool: ...

    def seal(self) -> Sealed:
        """The manifest, written. Raises InputError where the pieces make no whole."""


AnyJob = TypeVar("AnyJob", bound=Job[Any])


def run_jobs(
    jobs: Sequence[AnyJob], write: Callable[[Mapping[str, AnyJob]], Rows], tell: Callable[[Any], object]
) -> Iterator[tuple[str, Any]]:
    """Yields (job name, its manifest or its failure) as each job ends; `tell` hears of each piece."""
    unfinished: dict[str, AnyJob] = {}
    for job in jobs:
        job.making.gather()
        try:
            job.start()
        except InputError as error:
            yield job.name, error
            continue
        if job.complete:
            yield job.name, _sealed(job)
        else:
            unfinished[job.name] = job
    for row in write(unfinished) if unfinished else ():
        job = unfinished[row["job"]]
        job.done[row["number"]] = row["info"]
        tell(row["info"])
        if job.complete:
            yield job.name, _sealed(job)


def _sealed(job: Job[Sealed]) -> Sealed | Exception:
    try:
        job.making.gather()
        return job.seal()
    except (InputError, OSError) as error:
        return error


def map_pieces(items: Sequence[Mapping[str, Any]], write: Callable[[Any], Any]) -> Rows:
    """`write` of each item, as a batch of one, as many at once as the cluster has CPUs."""
    import ray

    quiet_ray_data()
    blocks = ray.data.from_items(list(items), override_num_blocks=len(items))
    # No CPU asked for: Ray Tune keeps the CPUs of processes that wait for their next trial, and that trial
    # may need these very data (measured: both wait for ever).
    at_once = min(len(items), max(1, int(ray.cluster_resources().get("CPU", 1))))
    yield from blocks.map_batches(write, batch_size=1, num_cpus=0, concurrency=at_once).iter_rows()


def quiet_ray_data() -> None:
    """Ray Data without its own progress bars and plans on the terminal."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
