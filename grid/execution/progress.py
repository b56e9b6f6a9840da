"""What a person at the terminal sees: one line that moves, or a line now and then in a log."""

import threading
import time
from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.live import Live
from rich.text import Text

from grid.plan.plan import Unit

EVERY = 30.0  # seconds between lines where the output is no terminal
VERBS = {
    "prepare": "preparing",
    "pretrain": "pre-training",
    "finetune": "fine-tuning",
    "slides": "cutting",
    "features": "computing",
    "survive": "fitting",
    "coordinates": "measuring",
    "svcca": "measuring",
    "filters": "measuring",
}
SAID = {"failed": "failed", "again": "interrupted, tried again:"}


class Progress:
    """Counts units as they start and end; `costs` are relative and only weigh the time that is left."""

    def __init__(self, console: Console, costs: Mapping[str, float]) -> None:
        self.console, self.costs = console, dict(costs)
        self.started = time.monotonic()
        self.running: dict[str, Unit] = {}
        self.ended: Counter[str] = Counter()
        self.spent = 0.0
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

    def note(self, event: str, unit: Unit) -> None:
        with self.lock:
            if event == "started":
                self.running[unit.digest] = unit
                return
            self.running.pop(unit.digest, None)
            if event == "busy":  # another driver works on it
                return
            if event != "again":
                self.ended[event] += 1
                self.spent += self.costs.get(unit.digest, 0.0)
        if event in SAID:
            self.console.print(f"[red]{SAID[event]}[/red] {VERBS[unit.kind]} {unit.label}")

    def prepared(self, images: int) -> None:
        with self.lock:
            self.images += images

    def line(self) -> Text:
        with self.lock:
            done, total = sum(self.ended.values()), len(self.costs)
            elapsed = time.monotonic() - self.started
            parts = [f"{done}/{total} units", clock(elapsed)]
            if done and done < total:
                parts.append(f"{done / elapsed * 60:.1f} units/min")
            if self.spent and done < total:
                left = elapsed * (sum(self.costs.values()) - self.spent) / self.spent
                parts.append(f"about {clock(left)} left, until {ending(left)}")
            if self.images and any(unit.kind == "prepare" for unit in self.running.values()):
                parts.append(f"{self.images:,} images prepared")
            parts += [f"{VERBS[unit.kind]} {unit.label}" for unit in list(self.running.values())[:2]]
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")

    def _show(self) -> None:
        if not self.console.is_terminal:
            while not self.stop.wait(EVERY):
                self.console.print(self.line())
            return
        with Live(self.line(), console=self.console, transient=True, auto_refresh=False) as live:
            while not self.stop.wait(0.5):
                live.update(self.line(), refresh=True)


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes}:{rest:02d}"


def ending(seconds: float) -> str:
    form = "%H:%M" if seconds < 86_400 else "%a %d %b %H:%M"
    return time.strftime(form, time.localtime(time.time() + seconds))
