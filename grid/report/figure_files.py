"""Draw a report's figures: SVG for its page, PNG and PDF as files; by other processes where they are many."""

import ctypes
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from re import fullmatch

from grid.cluster.cpus import usable_cpus
from grid.report.chart_files import Figures, svg
from grid.report.charts import Chart
from medpt import files

MANY = 20  # charts, which take longer to draw than processes to start
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class Drawing:
    """The figures of one report. They are drawn from `start` on; the first call of `svg` waits for all."""

    def __init__(self, folder: Path, pool: ProcessPoolExecutor) -> None:
        self.folder, self.pool = folder, pool
        self.started: list[tuple[Figures, Future[list[str]]]] = []

    def start(self, figures: Sequence[Figures]) -> None:
        """Draw these figures and write their files, in this process or beside it."""
        are_many = sum(len(each.charts) for each in figures) >= MANY
        for each in sorted(figures, key=lambda each: -len(each.charts)):
            drawn = self.pool.submit(_draw, each, self.folder) if are_many else Future()
            if not are_many:
                drawn.set_result(_draw(each, self.folder))
            self.started.append((each, drawn))

    @cached_property
    def drawn(self) -> dict[Chart, str]:
        """Each chart's SVG. Raises what prevented a figure from being drawn."""
        return {
            chart: text
            for figures, drawn in self.started
            for chart, text in zip(figures.charts, drawn.result(), strict=True)
        }

    def svg(self, chart: Chart) -> str:
        """Return a chart as an element of the page."""
        return self.drawn[chart]


@contextmanager
def drawing(folder: Path) -> Iterator[Drawing]:
    """Draw into `folder` beside the body of the `with` statement; all files are there when it is left."""
    pool = ProcessPoolExecutor(usable_cpus(), get_context("spawn"), _follow_parent)
    try:
        found = Drawing(folder, pool)
        yield found
        _ = found.drawn
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(figures: Figures, folder: Path) -> list[str]:
    """Write the files of figures, and return each chart's SVG, whose layout they share.

    Files of charts that only an earlier report had are removed.
    """
    drawn, written = [svg(chart) for chart in figures.charts], figures.files()
    for name, data in written.items():
        files.write_bytes(folder / name, data)
    for path in folder.glob(f"{figures.key}*"):
        if path.name not in written and fullmatch(rf"{figures.key}(-\d+\.png|\.pdf)", path.name):
            path.unlink()
    return drawn


def _follow_parent() -> None:
    """End silently at Ctrl-C, and when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
