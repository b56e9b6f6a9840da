"""Compute units of a registry here, in a store of their own, with the scheduling of every run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from grid.options import RunOptions
from grid.plan import cost
from grid.plan.cost import CPU, DataSizes
from grid.plan.plan import Plan, Unit
from grid.registry.pull import Recomputed
from grid.registry.staging import StagedUnit
from grid.store.store import Store
from medpt.data.dataset import Dataset
from medpt.errors import InputError


@dataclass(frozen=True)
class Recomputation:
    """What units are recomputed with: the plan, the store of this laboratory, and the opened data."""

    plan: Plan
    store: Store
    options: RunOptions
    opened: Mapping[str, Dataset]
    console: Console

    def __call__(
        self, drawn: Sequence[Unit], staged: Mapping[str, StagedUnit], folder: Path
    ) -> dict[str, Recomputed]:
        """Return the drawn units, and the prepared data that they need, as they are computed here.

        Data are prepared in the store itself, as every run needs them. Units whose inputs were not published
        are computed from those that are computed here too. Raises InputError where a unit fails.
        """
        from grid.cluster.ray_session import ray_session

        computed = self._computed({unit.digest for unit in drawn if not unit.spec.makes_data}, staged)
        data = self._data({unit.digest for unit in drawn if unit.spec.makes_data} | computed)
        scratch = Store(folder / "store", uuid4().hex, self.options.lease_seconds)
        scratch.create()
        with ray_session(self.options.address, self.options.cpus, self.options.gpus):
            self._run(self.store, self.options, data)
            self._link_inputs(scratch, computed, staged)
            options = replace(
                self.options, out=str(scratch.root), cache=self.options.cache_folder(self.store)
            )
            self._run(scratch, options, computed)
        found = {name: Recomputed(scratch.marker(name), scratch.folder(name)) for name in computed}
        prepared = {name for name in data if self.plan.units[name].spec.makes_data}
        return found | {
            name: Recomputed(self.store.marker(name), self.store.fetch_all(name)) for name in prepared
        }

    def _computed(self, drawn: set[str], staged: Mapping[str, StagedUnit]) -> set[str]:
        """Return the drawn units with those that they need and that are complete neither here nor there."""
        found, left = set[str](), list(drawn)
        while left:
            name = left.pop()
            found.add(name)
            needs = [need for need in self.plan.units[name].needs if not self._makes_data(need)]
            left += [
                need
                for need in needs
                if need not in found and not self._is_complete(need) and not _is_staged(need, staged)
            ]
        return found

    def _data(self, units: Iterable[str]) -> set[str]:
        """Return the prepared data that units need and that are not here, with what they need in turn."""
        left = [need for name in units for need in (name, *self.plan.units[name].needs)]
        left = [name for name in left if self._makes_data(name)]
        found = set[str]()
        while left:
            name = left.pop()
            if name not in found and not self._is_complete(name):
                found.add(name)
                left += self.plan.units[name].needs
        return found

    def _makes_data(self, name: str) -> bool:
        return self.plan.units[name].spec.makes_data

    def _is_complete(self, name: str) -> bool:
        """Whether this store has all files of a unit."""
        if not self.store.is_finished(name):
            return False
        origin = self.store.marker(name).origin
        return origin is None or not origin.withheld

    def _link_inputs(
        self, scratch: Store, computed: Collection[str], staged: Mapping[str, StagedUnit]
    ) -> None:
        """Give the other store what its units need and do not compute themselves."""
        needs = {need for name in computed for need in self.plan.units[name].needs} - set(computed)
        for need in needs:
            if self._is_complete(need):
                folder, marker = self.store.fetch_all(need), self.store.marker(need)
                scratch.folder(need).symlink_to(folder)
                scratch.documents.create(f"done/{need}.json", marker.content())
            else:
                unit = staged[need]
                lease = scratch.claim(need)
                if lease:
                    marker = unit.marker(self.plan, attempt=lease.attempt, is_recomputed=False)
                    copied = scratch.root / "units" / f"copied-{need}"
                    copied.mkdir()
                    for path in unit.folder.iterdir():
                        (copied / path.name).hardlink_to(path)
                    scratch.publish(need, copied, marker)

    def _run(self, store: Store, options: RunOptions, todo: set[str]) -> None:
        """Run units until each is finished. Raises InputError with the reasons where one fails."""
        from grid.execution import scheduler
        from grid.execution.progress import Progress

        if not todo:
            return
        for name in todo & store.finished():  # without the files that others withheld
            store.invalidate(name)
        known = {name for unit in todo for name in (unit, *self.plan.units[unit].needs)}
        units = {name: unit for name, unit in self.plan.units.items() if name in known}
        plan = replace(self.plan, trials=(), analyses=(), controls=(), units=units)
        store.write_plan(plan.digest, plan.to_json())
        costs = {name: cost.seconds(units[name], DataSizes(plan.sizes), CPU) for name in todo}
        with Progress(self.console, costs) as progress:
            listeners = scheduler.RunListeners(
                on_event=(progress.on_event,),
                on_images=progress.on_images,
                on_prepared=lambda name: None,
                on_stall=partial(self.console.print),
            )
            scheduler.run_units(plan, todo, store, options, self.opened, listeners)
        if failed := todo - store.finished():
            raise InputError(f"not verified: {self._reason(store, name)}" for name in sorted(failed))

    def _reason(self, store: Store, name: str) -> str:
        label = self.plan.units[name].label
        return (
            f"{label}: {store.failure(name).reason}" if name in store.failures() else f"{label} did not run"
        )


def _is_staged(name: str, staged: Mapping[str, StagedUnit]) -> bool:
    return name in staged and staged[name].is_complete
