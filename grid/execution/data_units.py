"""Prepared data for a plan, made beside the training: images to shards, slides to patches, then published.

A unit that fails does not touch the others; what stops a whole pipeline fails the units that were left in it.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Protocol

from grid.execution import failures
from grid.execution.worker import facts
from grid.options import RunOptions
from grid.plan.planner import Unit
from grid.preparation import images, slides, streaming
from grid.preparation.pipeline import Destination
from grid.store.leases import Lease
from grid.store.store import Store, SupersededError
from medpt import fault_injection
from medpt.data import cache
from medpt.data.dataset import Dataset
from medpt.data.manifest import MANIFEST, Manifest
from medpt.disc_detector import Detector
from medpt.specs import Prepare, Pretrain, Slides, from_json
from medpt.survival.patch_files import CohortManifest

Ended = tuple[str, Manifest | CohortManifest | Exception]


class Board(Protocol):
    """Who hears of each unit's beginning and end: the searcher of grid/execution/scheduler.py."""

    store: Store
    waiting: dict[str, Unit]
    lock: threading.Condition
    tell: Callable[[str, Unit], object]

    def settle(self, name: str, cause: str = "", reason: str = "", trace: str | None = None) -> None: ...

    def drop_blocked(self) -> None: ...


def supply(
    board: Board, options: RunOptions, opened: Mapping[str, Dataset], on_images: Callable[[int], object]
) -> None:
    """Every unit of data that waits, images before slides; those that need training once it is done."""
    while ready := _next(board):
        leases = {name: lease for name in ready if (lease := board.store.claim(name))}
        for name in ready.keys() - leases.keys():
            if board.store.is_finished(name):  # by another driver
                board.settle(name)
        if leases:
            with ExitStack() as stack:
                for lease in leases.values():
                    stack.enter_context(board.store.leases.beating(lease))
                _make(board, options, {name: ready[name] for name in leases}, leases, opened, on_images)
        else:
            time.sleep(1)


def _make(
    board: Board,
    options: RunOptions,
    mine: Mapping[str, Unit],
    leases: Mapping[str, Lease],
    opened: Mapping[str, Dataset],
    on_images: Callable[[int], object],
) -> None:
    begun = time.time()
    for unit in mine.values():
        board.tell("started", unit)
    try:
        kind = next(iter(mine.values())).kind
        for name, ended in PIPELINES[kind](mine, board.store, opened, on_images):
            _publish(board, options, mine[name], ended, leases[name].attempt, begun)
    except Exception as error:
        logging.getLogger(__name__).exception("preparing stopped")
        for name in [name for name in mine if name in board.waiting]:
            board.settle(name, failures.classify(error), failures.describe(error), traceback.format_exc())


def _next(board: Board) -> dict[str, Unit]:
    """Units of one kind that can be made now, once there are some; none when no unit of data waits."""
    with board.lock:
        while waiting := {name: unit for name, unit in board.waiting.items() if unit.kind in PIPELINES}:
            ready = {
                name: unit for name, unit in waiting.items() if all(map(board.store.is_finished, unit.needs))
            }
            for kind in PIPELINES:
                if mine := {name: unit for name, unit in ready.items() if unit.kind == kind}:
                    return mine
            board.lock.wait(1)
            board.drop_blocked()
    return {}


def _images(
    units: Mapping[str, Unit], store: Store, opened: Mapping[str, Dataset], on_images: Callable[[int], object]
) -> Iterator[Ended]:
    jobs = []
    for name, unit in units.items():
        assert isinstance(unit.spec, Prepare)  # noqa: S101 - for the type checker
        detector = _detector(unit.spec.detector, store) if unit.spec.detector else None
        dataset = opened[unit.spec.dataset]
        jobs.append(images.ShardJob(name, unit.spec, dataset, _making(store, name), detector))
    return images.prepare_all(jobs, on_images)


def _detector(digest: str, store: Store) -> Detector:
    """The network that a pre-training made, for images such as it was trained on."""
    spec = from_json("pretrain", store.marker(digest)["spec"])
    assert isinstance(spec, Pretrain)  # noqa: S101 - for the type checker
    pipeline = Manifest.read(store.artifact(spec.data[0], MANIFEST).parent).prepare.pipeline
    return Detector(store.artifact(digest, "best.safetensors"), spec.backbone, spec.architecture, pipeline)


def _slides(
    units: Mapping[str, Unit], store: Store, opened: Mapping[str, Dataset], on_images: Callable[[int], object]
) -> Iterator[Ended]:
    jobs = []
    for name, unit in units.items():
        assert isinstance(unit.spec, Slides)  # noqa: S101 - for the type checker
        jobs.append(slides.PatchJob(name, unit.spec, opened[unit.spec.dataset], _making(store, name)))
    return slides.extract_all(jobs)  # slides are no images


def _making(store: Store, digest: str) -> Destination:
    """Where data are made; in a bucket what one node wrote is found by the next attempt on any node."""
    keep, gather = partial(store.artifacts.keep, digest), partial(store.artifacts.resume, digest)
    return Destination(store.checkpoints(digest), keep, gather)


PIPELINES: dict[str, Callable[..., Iterator[Ended]]] = {"prepare": _images, "slides": _slides}


def _publish(
    board: Board,
    options: RunOptions,
    unit: Unit,
    ended: Manifest | CohortManifest | Exception,
    attempt: int,
    begun: float,
) -> None:
    store = board.store
    if isinstance(ended, Exception):
        store.fail(unit.digest, failures.classify(ended), str(ended))
    else:
        made = facts(unit, counts(ended), begun, attempt)
        fault_injection.running(f"{unit.kind}-{unit.digest}")
        try:
            store.publish(unit.digest, store.checkpoints(unit.digest), made)
        except SupersededError as error:
            logging.getLogger(__name__).warning("%s: %s", unit.label, error)
            return  # it still waits, and is finished or claimed again
        if isinstance(ended, Manifest):
            _warm(store, options, unit.digest, ended)
    board.settle(unit.digest)


def counts(manifest: Manifest | CohortManifest) -> dict[str, float]:
    """What there is of a dataset: images and shards, or the rows of the paper's Table 4."""
    if isinstance(manifest, Manifest):
        return {"images": float(manifest.rows), "shards": float(len(manifest.shards))}
    return {name.replace(" ", "_"): float(count) for name, count in manifest.table4().items()}


def _warm(store: Store, options: RunOptions, digest: str, manifest: Manifest) -> None:
    """Fills this node's cache while the shards are still in memory; else the first trial that reads does."""
    if cache.nbytes(manifest) <= options.cache_bytes:
        try:
            streaming.fill_cache(store.folder(digest), options.cache_folder(store) / digest, manifest)
        except streaming.StarvedError as error:
            logging.getLogger(__name__).warning("%s", error)
