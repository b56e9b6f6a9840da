"""What a run prints while units run: a progress line, and a notice of what keeps units from starting.

The progress line changes in place on a terminal; in a log there is one every half minute.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from grid.execution.allocation import living_nodes
from grid.execution.coordinator import Event
from grid.plan.plan import Unit
from medpt import cli
from medpt.cli import duration

LOG_SECONDS = 30.0  # between lines where the output is not a terminal
SHOWN_SHARE = 0.25  # of the run, before the time that is left is shown: until then it is a guess
LATE = 0.2  # of its time so far: how long a unit lasts that has taken longer than predicted
CHECK_SECONDS = 1.0  # between looks at Tune's list of trials
PRINTED = {"failed": "failed", "retried": "interrupted, retried:"}  # events that get a line of their own

Bundle = Mapping[str, float]  # amounts by resource


class Progress:
    """Counts units as they start and end.

    `costs` has the predicted seconds of each unit of the run by digest. With what units took so far they
    give the time that is left.
    """

    def __init__(self, console: Console, costs: Mapping[str, float]) -> None:
        self.console, self.costs = console, costs
        self.started = time.monotonic()
        self.running: dict[str, Unit] = {}
        self.began: dict[str, float] = {}  # when the running units started
        self.ended: Counter[str] = Counter()
        self.took: dict[str, float] = {}  # seconds that the ended units took
        self.images = 0
        self.lock = threading.RLock()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self.console.print(self.line())

    def on_event(self, event: Event, unit: Unit) -> None:
        """Count an event of a unit; failures and retries are printed."""
        with self.lock:
            if event == "started":
                self.running[unit.digest] = unit
                self.began[unit.digest] = time.monotonic()
            else:
                self.running.pop(unit.digest, None)
                now = time.monotonic()
                seconds = now - self.began.pop(unit.digest, now)
            if event in ("finished", "failed", "blocked"):
                self.ended[event] += 1
                self.took[unit.digest] = seconds
        if event in PRINTED:
            self.console.print(f"{PRINTED[event]} {unit.spec.verb} {unit.label}", style="red")

    def on_images(self, images: int) -> None:
        """Count prepared images."""
        with self.lock:
            self.images += images

    def seconds_left(self) -> float | None:
        """Return the predicted time until the last unit ends; None in the first quarter of the run.

        Units take `pace` times their cost, as those did that ended or run; a running one that took longer
        lasts for another LATE of its time. Work is done by as many units at a time as so far, but no run is
        shorter than its longest unit.
        """
        now = time.monotonic()
        running = {name: now - began for name, began in self.began.items()}
        busy = sum(running.values()) + sum(self.took.values())
        known = sum(min(taken, self._cost(name)) for name, taken in running.items())
        known += sum(map(self._cost, self.took))
        if not busy or not known:
            return None
        pace = busy / known
        ahead = [max(pace * self._cost(n) - taken, LATE * taken) for n, taken in running.items()]
        ahead += [pace * self._cost(n) for n in self.costs.keys() - self.took.keys() - running.keys()]
        elapsed = now - self.started
        left = max(sum(ahead) * elapsed / busy, *ahead, 0.0)
        return left if elapsed >= SHOWN_SHARE * (elapsed + left) else None

    def _cost(self, name: str) -> float:
        return self.costs.get(name, 0.0)

    def line(self) -> Text:
        """Return the counts, the time taken and left, and what is running."""
        with self.lock:
            done, total = sum(self.ended.values()), len(self.costs)
            elapsed = time.monotonic() - self.started
            parts = [f"{done}/{total} units", duration(elapsed)]
            if done and done < total:
                parts.append(f"{done / elapsed * 60:.1f} units/min")
            left = self.seconds_left() if done < total else None
            if left is not None:
                parts.append(f"about {duration(left)} left, until {end_time(left)}")
            if self.images and any(unit.kind == "prepare" for unit in self.running.values()):
                parts.append(f"{self.images:,} images prepared")
            parts += [f"{unit.spec.verb} {unit.label}" for unit in list(self.running.values())[:2]]
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")

    def _show(self) -> None:
        if not self.console.is_terminal:
            while not self.stop.wait(LOG_SECONDS):
                self.console.print(self.line())
            return
        with Live(self.line(), console=self.console, transient=True, auto_refresh=False) as live:
            while not self.stop.wait(0.5):
                live.update(self.line(), refresh=True)


def end_time(seconds: float) -> str:
    """Return the time of day in `seconds` from now, with the date if that is a day away."""
    form = "%H:%M" if seconds < 86_400 else "%a %d %b %H:%M"
    return time.strftime(form, time.localtime(time.time() + seconds))


class StallNotice:
    """Reports what is waited for once no trial has run for `seconds`, then at doubled intervals."""

    def __init__(
        self,
        seconds: float,
        report: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        nodes: Callable[[], list[dict[str, float]]] = living_nodes,
    ) -> None:
        self.seconds, self.report, self.clock, self.nodes = seconds, report, clock, nodes
        self.checked = self.last_moved = clock()
        self.patience = seconds

    def check(self, trials: Sequence[Any]) -> None:
        """Report if trials wait and none has run for too long; `trials` is Tune's list."""
        now = self.clock()
        if now - self.checked < CHECK_SECONDS:
            return
        self.checked = now
        pending = [trial for trial in trials if trial.status == "PENDING"]
        if not pending or any(trial.status == "RUNNING" for trial in trials):
            self.last_moved, self.patience = now, self.seconds
        elif now - self.last_moved >= self.patience:
            self.patience *= 2
            wanted = [trial.placement_group_factory.bundles[0] for trial in pending]
            self.report(describe_stall(now - self.last_moved, wanted, self.nodes()))


def describe_stall(seconds: float, wanted: Sequence[Bundle], nodes: Sequence[Bundle]) -> str:
    """Return the text of a notice: what trials want, equal wants once, and why none of it is there."""
    distinct = {tuple(sorted(bundle.items())): bundle for bundle in wanted}
    lines = [f"no unit has started for {seconds:.0f} s; {len(wanted)} are waiting:"]
    lines += [f"  {_words(bundle)} each: {reason(bundle, nodes)}" for bundle in distinct.values()]
    lines.append("  they start as soon as resources are free; `ray status` shows the state of the cluster")
    return "\n".join(lines)


def reason(bundle: Bundle, nodes: Sequence[Bundle]) -> str:
    """Return why none of the machines, given by their resources, has started a trial that wants `bundle`."""
    lacking = [name for name, amount in bundle.items() if all(node.get(name, 0) < amount for node in nodes)]
    if lacking:
        return f"none of {cli.count(len(nodes), 'machine')} of the cluster has as much {' or '.join(lacking)}"
    if not any(all(node.get(name, 0) >= amount for name, amount in bundle.items()) for node in nodes):
        return f"no single machine of the cluster's {len(nodes)} has both"
    return "the machines that have it are used by other work"


def _words(bundle: Bundle) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
