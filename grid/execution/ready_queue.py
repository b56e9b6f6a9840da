"""Which unit may start next: a pure data structure of units, what they need, and what became of them."""

from collections.abc import Collection, Iterable

from grid.plan.plan import Unit
from medpt.specs import SPECS


class ReadyQueue:
    """The units of a run, in the order in which they may start.

    A unit is waiting, running, finished, or lost: it failed, or it is blocked because it needs a lost unit.
    A waiting unit is ready once every unit that it needs is finished. Ready units start in the order of the
    plan, which puts those first that others wait for; a retried unit comes before all others, a deferred one
    after them. Times are seconds of any one clock.
    """

    def __init__(self, units: Iterable[Unit]) -> None:
        """Let `units` wait; each must come after the units that it needs."""
        self._waiting = {unit.digest: unit for unit in units}
        self._running: dict[str, Unit] = {}
        self._deferred: dict[str, float] = {}  # the time before which a waiting unit does not start
        self._finished: set[str] = set()
        self._lost: set[str] = set()

    @property
    def is_done(self) -> bool:
        """Whether no unit waits or runs."""
        return not self._waiting and not self._running

    @property
    def has_data_units(self) -> bool:
        """Whether a unit that prepares data waits, ready or not."""
        return any(unit.spec.makes_data for unit in self._waiting.values())

    def next_trial(self, now: float) -> str | None:
        """Start the first ready unit that computes, and return its digest; None if none is ready."""
        for digest, unit in self._waiting.items():
            if not unit.spec.makes_data and self._is_ready(unit, now):
                self._start(digest)
                return digest
        return None

    def next_data_units(self, now: float) -> list[str]:
        """Start the ready data units of one kind, and return their digests; images come first."""
        data_units = [unit for unit in self._waiting.values() if unit.spec.makes_data]
        ready = [unit for unit in data_units if self._is_ready(unit, now)]
        for kind in SPECS:
            if digests := [unit.digest for unit in ready if unit.kind == kind]:
                for digest in digests:
                    self._start(digest)
                return digests
        return []

    def finish(self, digest: str) -> None:
        """Mark a unit as finished."""
        self._remove(digest)
        self._finished.add(digest)

    def fail(self, digest: str) -> list[str]:
        """Mark a unit as lost, and return the digests that this blocks, in the order of the plan."""
        self._remove(digest)
        self._lost.add(digest)
        blocked = []
        for name, unit in list(self._waiting.items()):
            if self._lost.intersection(unit.needs):
                self._remove(name)
                self._lost.add(name)
                blocked.append(name)
        return blocked

    def retry(self, digest: str) -> None:
        """Let a running unit wait again, before all others."""
        self._waiting = {digest: self._running.pop(digest)} | self._waiting

    def defer(self, digest: str, until: float) -> None:
        """Let a running unit wait again, after all others and not before `until`."""
        self._waiting[digest] = self._running.pop(digest)
        self._deferred[digest] = until

    def add_finished(self, digests: Collection[str]) -> list[str]:
        """Mark units that other drivers finished, and return those of them that waited here."""
        self._finished.update(digests)
        ended = [name for name in self._waiting if name in self._finished]
        for name in ended:
            self._remove(name)
        return ended

    def _is_ready(self, unit: Unit, now: float) -> bool:
        return self._deferred.get(unit.digest, now) <= now and self._finished.issuperset(unit.needs)

    def _start(self, digest: str) -> None:
        self._running[digest] = self._waiting.pop(digest)

    def _remove(self, digest: str) -> None:
        self._waiting.pop(digest, None)
        self._running.pop(digest, None)
