"""Ray for one driver: started on this machine, or joined at an address, and shut down at the end."""

import gc
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grid.addresses import RAY_ADDRESSES
from grid.cluster import temp_folders
from grid.cluster.cpus import usable_cpus
from grid.cluster.process_exit import keep_sigterm_handler
from grid.cluster.temp_folders import Session
from grid.package_data import unmet_requirements
from medpt.errors import InputError

log = logging.getLogger(__name__)

OBJECT_STORE = 512 * 2**20  # bytes of shared memory: shards are small and are streamed
START_ATTEMPTS = 3
START_TIMEOUT = "timed out during startup"  # of Ray's message
PROBE_SECONDS = 60.0  # that the first process has to answer, on a busy machine too
HEAD_SECONDS = 5.0  # that a Ray head has to accept a connection

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our records are the store's and MLflow's
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # grid.run handles signals
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's state is never restored: the store says what is finished
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # no other machines: listen on 127.0.0.1 alone


@contextmanager
def ray_session(
    address: str | None = None, cpus: int | None = None, gpus: int | None = None
) -> Iterator[None]:
    """Start Ray on this machine, or join the cluster at `address`; shut it down at the end.

    `cpus` and `gpus` limit what a Ray on this machine has; None is all that this process may use. The
    temporary folder belongs to this process. Raises InputError where Ray cannot be started or joined.
    """
    # Ray reads some of them when it is imported
    os.environ.update(ENVIRONMENT if address else ENVIRONMENT | LOOPBACK)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("tune", "execution"):  # a page of traceback for each unit that is retried
        logging.getLogger(f"ray.tune.{name}").setLevel(logging.CRITICAL)
    warn_of_versions()
    check_environment(None if address else sys.executable)
    temp_folders.clean_up_abandoned()
    session = temp_folders.start()
    try:
        with _explain_start_errors(address):
            if address:
                find_head(address)  # Ray itself would try for minutes
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                _start(session, cpus, gpus)
        yield
    finally:
        _shutdown()
        temp_folders.end(session)


def warn_of_versions() -> None:
    """Warn where Ray or MLflow is of another version than the project requires and is tested with."""
    problems = unmet_requirements()
    for name in ("ray", "mlflow"):
        if name in problems:
            log.warning(
                "%s: the run may fail. `make setup` installs the version that was tested", problems[name]
            )


def find_head(address: str) -> str:
    """Return HOST:PORT of the Ray head at `address`, which accepts connections.

    `auto` is the head of the cluster that this machine belongs to. Raises InputError where there is none.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or _own_cluster()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise InputError(f"--address {address or 'auto'}: no Ray runs here: {RAY_ADDRESSES} is accepted")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=HEAD_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--address {address}: {reason}: start the head, or its tunnel") from None
    return address


def _own_cluster() -> str:
    path = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def gcs_address() -> str:
    """Return HOST:PORT of the running Ray's head."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


@contextmanager
def _explain_start_errors(address: str | None) -> Iterator[None]:
    """Turn what keeps Ray from starting, for which it raises plain exceptions, into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        if address:
            raise InputError(f"--address {address}: {reason}; {RAY_ADDRESSES} is accepted") from error
        raise InputError(f"Ray did not start on this machine: {reason} Nothing was run.") from error


def _shutdown() -> None:
    """Shut Ray down while no other thread collects garbage.

    A handle in it would ask a worker that is going away, and Ray would end the whole process ("the core
    worker has already been shutdown"; seen once in some runs).
    """
    import ray

    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def check_environment(python: str | None) -> None:
    """Raise InputError where Ray could not start processes: no home folder, or a space in the path of Python.

    `python` is None where a cluster starts them.
    """
    problems = []
    if python and " " in python:
        problems.append(
            f"{python}: Ray cannot start a Python whose path has a space. Make the environment in another "
            "folder, for example: make setup VENV=/opt/medpt"
        )
    try:
        Path.home()
    except RuntimeError:
        problems.append(
            f"the user id {os.getuid()} is unknown to this system and has no home folder, where Ray keeps "
            "its token: set HOME=DIR"
        )
    if problems:
        raise InputError(problems)


def _probe() -> None:
    """Start one process, as a unit will be. Raises InputError where none answers."""
    import ray

    try:
        ray.get(ray.remote(num_cpus=0)(lambda: None).remote(), timeout=PROBE_SECONDS)
    except ray.exceptions.GetTimeoutError:
        raise InputError(
            f"Ray started no process within {PROBE_SECONDS:.0f} s with {sys.executable}. Look for the reason "
            "with `python -m grid.doctor`: memory, limits of the container, a scanner that blocks programs."
        ) from None


def _start(session: Session, cpus: int | None, gpus: int | None) -> None:
    """Start Ray. It gives its own processes 30 s, which a busy machine may exceed: then try again."""
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            _init(session.ray, cpus, gpus)
            break
        except Exception as error:
            if START_TIMEOUT not in str(error) or attempt == START_ATTEMPTS:
                raise
            log.warning("Ray was not up after 30 s on this busy machine; starting it again")
            _shutdown()
            temp_folders.end_processes(session)
    _probe()


def _init(folder: Path, cpus: int | None, gpus: int | None) -> None:
    import ray

    with keep_sigterm_handler():
        ray.init(
            address="local",
            num_cpus=cpus or usable_cpus(),
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
            # Idle processes of data tasks are kept: a new one spends seconds on imports.
            _system_config={"idle_worker_killing_time_threshold_ms": 60_000},
        )
