"""What a run would do: trials, units after merging, what is finished, device hours, published cells."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from grid.claims.published import matching_cells
from grid.plan import cost
from grid.plan.datasets import ABSENT, SpaceDatasets
from grid.plan.plan import Plan, Unit
from grid.store.store import Store


def describe(plan: Plan, store: Store, found: SpaceDatasets, console: Console) -> None:
    finished = store.finished() & set(plan.units)
    todo = [unit for name, unit in plan.units.items() if name not in finished]
    console.print(f"[bold]{plan.space.name}[/bold]: {plan.space.title}")
    console.print(
        f"{len(plan.trials):,} trials become {len(plan.units):,} units; {naive(plan):,} without sharing"
    )
    console.print(_table(plan, finished, _hours(plan, todo, store)))
    if cells := matching_cells(plan):
        console.print(f"published cells that would be filled: {', '.join(cells)}")
    missing = sorted(name for name, value in found.fingerprints.items() if value == ABSENT)
    if missing:
        console.print(f"not found yet: {', '.join(missing)} (units of absent data count as unfinished)")
    for problem in found.problems:
        console.print(f"  {problem}", markup=False)


def naive(plan: Plan) -> int:
    """Units if every trial prepared and pre-trained for itself."""
    return sum(1 + len(plan.units[name].needs) for _, name in plan.trials) + sum(
        len(plan.units[need].needs) for _, name in plan.trials for need in plan.units[name].needs
    )


def _hours(plan: Plan, todo: list[Unit], store: Store) -> dict[str, dict[str, float]]:
    return {device: cost.estimate(todo, plan.sizes, store, device) for device in cost.GFLOPS}


def _table(plan: Plan, finished: set[str], hours: dict[str, dict[str, float]]) -> Table:
    table = Table(box=None, padding=(0, 2))
    for heading in ("unit", "planned", "finished", "to do", *(f"{device} hours" for device in hours)):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    done = Counter(cost.title(plan.units[name]) for name in finished)
    for title, count in Counter(map(cost.title, plan.units.values())).items():
        spent = [f"{by_title.get(title, 0.0):,.2f}" for by_title in hours.values()]
        counts = [f"{n:,}" for n in (count, done[title], count - done[title])]
        table.add_row(title, *counts, *spent)
    return table
