"""One measured figure beside its peer's, and the line that tells it."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

UNITS = {"ms": 0, "s": 0, "min": 0, "MB": 0, "GiB": 0, "img/s": 1, "GFLOP/s": 1, "x": 1}  # 1: more is better
LIMIT = "the most it may take"  # the peer of a figure that has a limit instead of an alternative
RECORD = "MEDPT_BENCH_FIGURES"  # names a file that gets each figure as a line of JSON, for `python -m bench`


@dataclass(frozen=True)
class Figure:
    """`ours` and `peer` in one of UNITS; `target` is the least ratio, None for a figure that only informs."""

    name: str
    ours: float
    peer: float
    unit: str
    against: str
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How many times better ours is: above 1, we win."""
        return self.ours / self.peer if UNITS[self.unit] else self.peer / self.ours

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "-"
        return "ok" if self.ratio >= self.target else "short"

    def line(self) -> str:
        target = "-" if self.target is None else f">= {self.target:g}"
        return (
            f"{self.name:<34} ours {number(self.ours):>7} {self.unit:<5}  peer {number(self.peer):>7} "
            f"{self.unit:<5}  ratio {self.ratio:7.2f}  target {target:<6} {self.verdict:<5} ({self.against})"
        )


def limited(name: str, ours: float, most: float, unit: str) -> Figure:
    """Return the figure of something that may take at most `most`."""
    return Figure(name, ours, most, unit, LIMIT, 1)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(*figures: Figure) -> None:
    """Print the figures and, under `python -m bench`, record them."""
    record = os.environ.get(RECORD)
    for figure in figures:
        print(figure.line(), flush=True)
        if record:
            with Path(record).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(figure)) + "\n")


def best(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of `repeats` calls: the one that other work disturbed least."""
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        seconds.append(clock() - start)
    return min(seconds)
