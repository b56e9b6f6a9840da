"""Ray, started for this process alone or joined, and always left tidy."""

import fcntl
import gc
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from grid.interrupt import sigterm_kept
from grid.lean import one_node, one_node_data
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


SESSION, LOCK = "medpt-ray-", "lock"
UNLOCKED = 60.0  # seconds after which a folder without a lock is nobody's: who makes one locks it at once
SWEEPING = 5.0  # seconds: what was killed may write for a moment, and what it had started is killed in turn

_sessions: dict[Path, TextIO] = {}  # of this process, with their locks, for an exit that cannot wait for Ray


@contextmanager
def local_ray(address: str | None = None, cpus: int | None = None, gpus: int | None = None) -> Iterator[None]:
    """Ray on this machine, or the cluster at `address`; with a temporary folder for this process alone."""
    os.environ.update(ENVIRONMENT)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    for name in ("tune", "execution"):  # a page of traceback for each unit that is tried again
        logging.getLogger(f"ray.tune.{name}").setLevel(logging.CRITICAL)
    sweep_abandoned()
    session = _new_session()
    try:
        with _told(address):
            if address:
                _check_head(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                _start(session, cpus, gpus)
        with nullcontext() if address else one_node_data():
            yield
    finally:
        _shutdown()
        sweep(session)
        _sessions.pop(session).close()


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


def sweep_own() -> None:
    """Ends all that this process started through Ray, at once."""
    for session in _sessions:
        sweep(session)


def _new_session() -> Path:
    """A folder of this process; its lock is free once the process is gone, however it went."""
    session = Path(tempfile.mkdtemp(prefix=SESSION))
    lock = (session / "new").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.rename(lock.name, session / LOCK)  # nobody ever sees it free
    _sessions[session] = lock
    return session


def scratch() -> Path | None:
    """A folder that vanishes with this process's session, however that ends; None without Ray."""
    return next(iter(_sessions), None)


def sweep_abandoned() -> None:
    """Ends and removes what drivers left that were killed: their sessions' locks are free, or gone."""
    for session in Path(tempfile.gettempdir()).glob(f"{SESSION}*"):
        with suppress(OSError):
            facts = session.stat()
            if facts.st_uid != os.getuid():
                continue
            if (session / LOCK).exists():
                _sweep_if_free(session)
            elif time.time() - facts.st_mtime > UNLOCKED:
                sweep(session)


def _sweep_if_free(session: Path) -> None:
    with (session / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sweep(session)


def _start(session: Path, cpus: int | None, gpus: int | None) -> None:
    import ray

    with sigterm_kept(), one_node():
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


def sweep(session: Path) -> None:
    """Ends what Ray left running for a session folder, and removes the folder, its lock last: whoever is
    killed here leaves it to the next start.

    It is done when nobody is there any more and nothing came back: what a process of Ray starts at the
    moment in which it is killed makes the folder anew.
    """
    until = time.monotonic() + SWEEPING
    while (_end_all(session) or session.exists()) and time.monotonic() < until:
        _remove(session)
        time.sleep(0.02)


def _end_all(session: Path) -> bool:
    """Whether there was a process to end."""
    found = [int(process.name) for process in Path("/proc").glob("[0-9]*") if _belongs(process, str(session))]
    others = [pid for pid in found if pid != os.getpid()]
    for pid in others:
        _kill(pid)
    return bool(others)


def _remove(session: Path) -> None:
    """The folder, unless something was written into it meanwhile."""
    with suppress(OSError):
        for path in _without_lock(session):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
        if not _without_lock(session):
            (session / LOCK).unlink(missing_ok=True)
            session.rmdir()


def _without_lock(session: Path) -> list[Path]:
    return [path for path in session.iterdir() if path.name != LOCK]


def _belongs(process: Path, session: str) -> bool:
    """By its command or its open files: Ray's agents change their titles, and outlive a killed raylet.

    Who has the lock open and nothing else is another driver that looks whether it is free.
    """
    try:
        named = session.encode() in (process / "cmdline").read_bytes()
        links = [os.readlink(file) for file in (process / "fd").iterdir()]
        below = [link for link in links if link.startswith(f"{session}/")]
        return named or any(not link.startswith(f"{session}/{LOCK}") for link in below)
    except OSError:  # gone, or another user's
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
