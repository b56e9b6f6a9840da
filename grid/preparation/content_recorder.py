"""The hashes of the original files, taken while they are prepared, by which later plans notice edits."""

import threading
from collections.abc import Collection
from concurrent.futures import Future
from pathlib import Path

from grid.plan.datasets import SpaceDatasets, recorded_contents
from grid.plan.plan import Plan
from medpt.data import contents
from medpt.errors import InputError
from medpt.specs import Prepare


class ContentRecorder:
    """Hash the files of datasets in a thread, one dataset after the other, where no record exists.

    Prepared data are published only after `wait`: so there is a record of whatever is finished, and a run
    that was killed before makes both again. The thread is a daemon, so that it never delays an exit.
    """

    def __init__(self, plan: Plan, todo: Collection[str], found: SpaceDatasets, out: Path) -> None:
        paths = {name: recorded_contents(out, found.fingerprints[name]) for name in _prepared(plan, todo)}
        self._places = {name: (found.folders[name], path) for name, path in paths.items()}
        self._planned = found.contents
        tasks = {name: place for name, place in self._places.items() if not place[1].exists()}
        self._recorded: dict[str, Future[None]] = {name: Future() for name in tasks}
        threading.Thread(target=self._record, args=(tasks,), name="contents", daemon=True).start()

    def _record(self, tasks: dict[str, tuple[Path, Path]]) -> None:
        for name, (folder, path) in tasks.items():
            try:
                contents.record(folder, path)
                self._recorded[name].set_result(None)
            except BaseException as error:  # of a thread: `wait` raises it
                self._recorded[name].set_exception(error)

    def wait(self, name: str) -> None:
        """Return once a dataset's record is written. Raises the error that prevented it.

        Raises InputError where a file was edited since the plan: what was prepared may be old or new.
        """
        if name in self._recorded:
            self._recorded[name].result()
        if name not in self._places:
            return
        folder, path = self._places[name]
        if contents.edited(folder, path, write=False) != self._planned.get(name):
            raise InputError(f"{folder}: edited while it was prepared; run the same command again")


def _prepared(plan: Plan, todo: Collection[str]) -> list[str]:
    """Return the datasets that a plan prepares, first those of the units that are left to run."""
    units = sorted(plan.units.values(), key=lambda unit: unit.digest not in todo)
    return list(dict.fromkeys(unit.spec.dataset for unit in units if isinstance(unit.spec, Prepare)))
