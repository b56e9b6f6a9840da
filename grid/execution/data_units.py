"""The data units of a run: images to shards, slides to patches, while other units train.

A unit that fails does not affect the others. An error that stops a whole pipeline fails the units that it had
left.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from grid.cluster.cpus import cpu_name, usable_cpus
from grid.execution import failures
from grid.execution.coordinator import Coordinator
from grid.execution.failures import TrialFailure
from grid.execution.worker import Outcome, marker_of
from grid.options import RunOptions
from grid.plan.plan import Unit
from grid.preparation import images, slides, streaming
from grid.preparation.pipeline import Destination
from grid.store.kept_networks import load_detector
from grid.store.leases import Lease
from grid.store.store import Store, SupersededError
from medpt import fault_injection
from medpt.data import cache
from medpt.data.dataset import Dataset
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.specs import Prepare, Slides
from medpt.survival.patch_files import CohortManifest

log = logging.getLogger(__name__)

Prepared = Manifest | CohortManifest
Pipeline = Callable[[Sequence[Unit]], Iterator[tuple[str, Prepared | Exception]]]
Publish = Callable[[Unit, Prepared, int, float], Outcome]  # unit, its manifest, attempt, time of the start


def prepare_data_units(
    coordinator: Coordinator, store: Store, pipelines: Mapping[str, Pipeline], publish: Publish
) -> None:
    """Prepare the data units of a run by kind, as each becomes ready; return once none is left."""
    while taken := coordinator.take_data_units():
        with ExitStack() as stack:
            for _, lease in taken:
                stack.enter_context(store.leases.held(lease))
            _prepare(coordinator, taken, pipelines, publish)


def _prepare(
    coordinator: Coordinator,
    taken: Sequence[tuple[Unit, Lease]],
    pipelines: Mapping[str, Pipeline],
    publish: Publish,
) -> None:
    started, units = time.time(), [unit for unit, _ in taken]
    left = {unit.digest: (unit, lease) for unit, lease in taken}
    try:
        for digest, prepared in pipelines[units[0].kind](units):
            result = _result(*left[digest], prepared, started, publish)
            del left[digest]
            coordinator.data_unit_ended(digest, result)
        if left:
            raise RuntimeError("the pipeline ended without a result")
    except Exception as error:
        labels = ", ".join(unit.label for unit, _ in left.values())
        log.exception("data preparation stopped; %d units failed: %s", len(left), labels)
        failure = TrialFailure(failures.classify(error), failures.describe(error), traceback.format_exc())
        for digest in left:
            coordinator.data_unit_ended(digest, failure)


def _result(
    unit: Unit, lease: Lease, prepared: Prepared | Exception, started: float, publish: Publish
) -> Outcome | TrialFailure:
    if isinstance(prepared, Exception):
        return TrialFailure(failures.classify(prepared), str(prepared))
    return publish(unit, prepared, lease.attempt, started)


def data_pipelines(
    store: Store,
    datasets: Mapping[str, Dataset],
    on_images: Callable[[int], object],
    on_prepared: Callable[[str], object],
) -> dict[str, Pipeline]:
    """Return the pipeline of each kind of data unit.

    `on_images` counts prepared images. `on_prepared` is called with a dataset after its images are prepared;
    an error of it fails the unit.
    """

    def prepare(units: Sequence[Unit]) -> Iterator[tuple[str, Prepared | Exception]]:
        names = {unit.digest: unit.spec.dataset for unit in units if isinstance(unit.spec, Prepare)}
        for digest, prepared in _prepare_images(store, datasets, on_images, units):
            yield digest, _call(on_prepared, names[digest], prepared)

    return {"prepare": prepare, "slides": partial(_extract_patches, store, datasets)}


def _call(
    on_prepared: Callable[[str], object], name: str, prepared: Prepared | Exception
) -> Prepared | Exception:
    try:
        if not isinstance(prepared, Exception):
            on_prepared(name)
    except (InputError, OSError) as error:
        return error
    return prepared


def _prepare_images(
    store: Store, datasets: Mapping[str, Dataset], on_images: Callable[[int], object], units: Sequence[Unit]
) -> Iterator[tuple[str, Prepared | Exception]]:
    jobs = []
    for unit in units:
        if isinstance(unit.spec, Prepare):
            detector = load_detector(store, unit.spec.detector) if unit.spec.detector else None
            destination = _destination(store, unit.digest)
            dataset = datasets[unit.spec.dataset]
            jobs.append(images.ShardJob(unit.digest, unit.spec, dataset, destination, detector))
    return images.prepare_all(jobs, on_images)


def _extract_patches(
    store: Store, datasets: Mapping[str, Dataset], units: Sequence[Unit]
) -> Iterator[tuple[str, Prepared | Exception]]:
    jobs = []
    for unit in units:
        if isinstance(unit.spec, Slides):
            destination = _destination(store, unit.digest)
            jobs.append(slides.PatchJob(unit.digest, unit.spec, datasets[unit.spec.dataset], destination))
    return slides.extract_all(jobs)


def _destination(store: Store, digest: str) -> Destination:
    """Return where the pieces of a unit are written; a bucket has them for the next attempt on any node."""
    upload, download_all = partial(store.artifacts.keep, digest), partial(store.artifacts.resume, digest)
    return Destination(store.checkpoints(digest), upload, download_all)


def publish_data(
    store: Store, options: RunOptions, unit: Unit, prepared: Prepared, attempt: int, started: float
) -> Outcome:
    """Publish what a pipeline has written, then fill this node's cache while files are still in memory."""
    peak = {"cpu": cpu_name(), "cpus": options.cpus or usable_cpus()}
    marker = replace(marker_of(unit, counts(prepared), started, attempt), peak=peak)
    fault_injection.running(f"{unit.kind}-{unit.digest}")
    try:
        store.publish(unit.digest, store.checkpoints(unit.digest), marker)
    except SupersededError as error:
        log.warning("%s: %s", unit.label, error)
        return "taken"
    if isinstance(prepared, Manifest):
        _fill_cache(store, options, unit.digest, prepared)
    return "finished"


def counts(manifest: Prepared) -> dict[str, float]:
    """Return the metrics of prepared data: images and shards, or the rows of the paper's Table 4."""
    if isinstance(manifest, Manifest):
        return {"images": float(manifest.rows), "shards": float(len(manifest.shards))}
    return {name.replace(" ", "_"): float(count) for name, count in manifest.table4().items()}


def _fill_cache(store: Store, options: RunOptions, digest: str, manifest: Manifest) -> None:
    """Fill this node's cache; where it fails, the first trial that reads the data does."""
    if cache.nbytes(manifest) <= options.cache_bytes:
        try:
            streaming.fill_cache(store.folder(digest), options.cache_folder(store) / digest, manifest)
        except streaming.StarvedError as error:
            log.warning("could not fill the cache of %s: %s", digest, error)
