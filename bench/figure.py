"""One measured figure beside its peer's, and the line that tells it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

UNITS = {"ms": 0, "MB": 0, "img/s": 1}  # less is better, less, more


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


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(*figures: Figure) -> None:
    for figure in figures:
        print(figure.line(), flush=True)


def best(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of `repeats` calls: the one that other work disturbed least."""
    seconds = []
    for _ in range(repeats):
        start = clock()
        work()
        seconds.append(clock() - start)
    return min(seconds)
