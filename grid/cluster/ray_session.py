"""Ray, started for this process alone or joined, and always left tidy."""

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grid.cluster import temp_folders
from grid.cluster.process_exit import keep_sigterm_handler
from medpt.errors import InputError

OBJECT_STORE = 512 * 2**20  # shards are small and stream; two cores need no more

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our records are the store's and MLflow's
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # grid.run answers signals
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's state is never restored: the store says what is finished
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # no other machines: listen on 127.0.0.1 alone


@contextmanager
def local_ray(address: str | None = None, cpus: int | None = None, gpus: int | None = None) -> Iterator[None]:
    """Ray on this machine, or the cluster at `address`; with a temporary folder for this process alone."""
    # Ray reads some of them when it is imported
    os.environ.update(ENVIRONMENT if address else ENVIRONMENT | LOOPBACK)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("tune", "execution"):  # a page of traceback for each unit that is tried again
        logging.getLogger(f"ray.tune.{name}").setLevel(logging.CRITICAL)
    temp_folders.clean_up_abandoned()
    session = temp_folders.start()
    try:
        with _told(address):
            if address:
                _check_head(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                _start(session, cpus, gpus)
        yield
    finally:
        _shutdown()
        temp_folders.end(session)


def _check_head(address: str) -> None:
    """InputError where nothing listens: Ray itself would try for minutes."""
    from grid.doctor import checks

    found = checks.cluster(address)
    if not found.ok:
        raise InputError(found.text)


@contextmanager
def _told(address: str | None) -> Iterator[None]:
    """What keeps Ray from starting, or from being joined, in one line: Ray raises plain exceptions for it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        if address:
            accepted = "HOST:PORT of a Ray head, or `auto` on a node of the cluster"
            raise InputError(f"--address {address}: {reason}; {accepted} is accepted") from error
        raise InputError(f"Ray did not start on this machine: {reason} Nothing was run.") from error


def _shutdown() -> None:
    """Ray down, while no other thread collects garbage: handles in it would ask a worker that is going away.

    Ray ends the whole process then ("the core worker has already been shutdown"; seen once in some runs).
    """
    import ray

    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def _start(session: Path, cpus: int | None, gpus: int | None) -> None:
    import ray

    with keep_sigterm_handler():
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(session),
            # Data tasks that come and go keep their processes: a new one imports for seconds.
            _system_config={"idle_worker_killing_time_threshold_ms": 60_000},
        )
