"""Write the PNG and PDF files of a report's figures, by other processes where there are many charts."""

import ctypes
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from grid.cluster.cpus import usable_cpus
from grid.report.chart_files import Figures
from medpt import files

MANY = 20  # charts, which take longer to draw than processes to start
PR_SET_PDEATHSIG = 1  # of Linux's prctl


@contextmanager
def figures_being_written(figures: Sequence[Figures], folder: Path) -> Iterator[None]:
    """Write the files of all figures, beside the body of the `with` statement where they are many."""
    if sum(len(each.charts) for each in figures) < MANY:
        for each in figures:
            _write(each, folder)
        yield
        return
    with ProcessPoolExecutor(usable_cpus(), get_context("spawn"), _follow_parent) as pool:
        longest_first = sorted(figures, key=lambda each: -len(each.charts))
        written = [pool.submit(_write, each, folder) for each in longest_first]
        yield
        _raise_errors(written)


def _raise_errors(written: Sequence[Future[None]]) -> None:
    for future in written:
        future.result()


def _write(figures: Figures, folder: Path) -> None:
    for name, data in figures.files().items():
        files.write_bytes(folder / name, data)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
