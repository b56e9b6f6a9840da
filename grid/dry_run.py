"""What a run would do: trials, units after merging, what is finished, device hours, published cells."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grid.claims.published import matching_cells
from grid.cluster.cpus import usable_cpus
from grid.options import RunOptions
from grid.plan import cost
from grid.plan.cost import GPU
from grid.plan.datasets import ABSENT, SpaceDatasets
from grid.plan.estimate import Estimate, estimate
from grid.plan.plan import Plan, Unit
from grid.store.kept_networks import without_networks
from grid.store.store import Store
from grid.store.verification import verify
from medpt import cli
from medpt.cli import duration
from medpt.data.manifest import MANIFEST, Manifest
from medpt.errors import InputError
from medpt.specs import Finetune, Prepare

CLASSES_SHOWN = 6


def print_plan(plan: Plan, store: Store, found: SpaceDatasets, options: RunOptions, console: Console) -> None:
    """Print what a run of the plan would do, and which datasets it lacks."""
    finished = store.finished() & set(plan.units)
    damaged = verify(store, finished, thorough=options.verify).damaged
    finished -= damaged.keys()
    finished -= set(without_networks(store, finished) if options.keep_missing else ())
    to_run = [unit for name, unit in plan.units.items() if name not in finished]
    estimated = estimate(to_run, cost.data_sizes(plan, found), store)
    console.print(f"{plan.space}: {plan.title}", style="bold")
    if plan.selection:
        console.print(f"only the trials of {plan.selection}")
    unshared = f"{units_without_sharing(plan):,} without sharing"
    trials, units = cli.count(len(plan.trials), "trial"), cli.count(len(plan.units), "unit")
    console.print(f"{trials}, {units}; {unshared}")
    console.print(_table(plan, finished, estimated))
    for line in (*time_and_price(estimated, options), *kept_networks(plan, to_run, store, options)):
        console.print(line)
    if counts := counts_table(plan, store, finished):
        console.print(counts)
    if cells := matching_cells(plan):
        console.print(f"published cells that would be filled: {', '.join(cells)}")
    missing = sorted(name for name, value in found.fingerprints.items() if value == ABSENT)
    if missing and found.problems:
        console.print(f"not found: {', '.join(missing)} (units of missing data count as unfinished)")
    elif missing:
        console.print(f"synthetic, drawn when the run starts: {', '.join(missing)}")
    for problem in damaged.values():
        console.print(f"{problem}\n  the unit would be run again")
    for problem in found.problems:
        console.print(f"  {problem}")


def units_without_sharing(plan: Plan) -> int:
    """Return the number of units if every trial prepared and pre-trained for itself."""
    needs = [plan.units[name].needs for _, name in plan.trials]
    indirect = sum(len(plan.units[need].needs) for direct in needs for need in direct)
    return sum(1 + len(direct) for direct in needs) + indirect


def counts_table(plan: Plan, store: Store, finished: set[str]) -> Table | None:
    """Return the images of prepared datasets by split, with images or pixels by class; None without any."""
    table = Table(box=None, padding=(0, 2))
    table.add_column("prepared")
    table.add_column("split")
    table.add_column("images", justify="right")
    table.add_column("images or pixels of each class", overflow="fold")
    prepared = {name: unit for name, unit in plan.units.items() if isinstance(unit.spec, Prepare)}
    for name, unit in prepared.items():
        if name in finished and (manifest := _manifest(store, name)):
            for split, images in sorted(manifest.images.items(), reverse=True):
                table.add_row(Text(unit.label), split, f"{images:,}", Text(_classes(manifest.counts[split])))
    return table if table.row_count else None


def _manifest(store: Store, digest: str) -> Manifest | None:
    try:
        return Manifest.read(store.file(digest, MANIFEST).parent)
    except (InputError, OSError):  # a run prepares damaged data again
        return None


def _classes(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:CLASSES_SHOWN]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f", and {more} more" if more else "")


def _table(plan: Plan, finished: set[str], estimated: Estimate) -> Table:
    table = Table(box=None, padding=(0, 2))
    hours = {device: estimated.hours(device) for device in estimated.seconds}
    for heading in ("unit", "planned", "finished", "to run", *(f"{device} hours" for device in hours)):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    planned = Counter(map(cost.title, plan.units.values()))
    done = Counter(cost.title(plan.units[name]) for name in finished)
    for title, count in [*planned.items(), ("total", planned.total())]:
        of_title = done.total() if title == "total" else done[title]
        spent = [_hours(found, title) for found in hours.values()]
        table.add_row(title, *(f"{number:,}" for number in (count, of_title, count - of_title)), *spent)
    return table


def _hours(hours: Mapping[str, float], title: str) -> str:
    if title == "total":
        return f"{sum(hours.values()):,.2f}"
    return f"{hours[title]:,.2f}" if title in hours else "–"


def time_and_price(estimated: Estimate, options: RunOptions) -> Iterator[str]:
    """Yield the time of a run on the devices that the options name, beside one GPU where they name none."""
    cpus = options.cpus or usable_cpus()
    for gpus in (options.gpus,) if options.gpus is not None else (0, 1):
        devices = cli.count(gpus, "GPU") + " and " if gpus else ""
        took = duration(estimated.wall_seconds(cpus, gpus))
        yield f"time on {devices}{cli.count(cpus, 'CPU core')}: about {took}"
    if options.price is not None:
        hours = sum(estimated.hours(GPU).values())
        yield f"price: {hours:,.1f} GPU hours × {options.price:g} = {hours * options.price:,.2f}"


def kept_networks(plan: Plan, to_run: Sequence[Unit], store: Store, options: RunOptions) -> Iterator[str]:
    """Yield the size of the networks that the run will keep, and how many finished ones were not kept."""
    tuned = sum(isinstance(unit.spec, Finetune) for unit in to_run)
    if tuned and options.keeps_networks:
        size = f"{cost.kept_bytes(to_run) / 1e9:,.1f} GB"
        yield f"weights kept of {cli.count(tuned, 'fine-tuning')}: about {size} (`keep: none` keeps none)"
    if missing := len(without_networks(store, plan.units)):
        units = cli.count(missing, "finished fine-tuning")
        again = "it" if missing == 1 else "them"
        yield f"{units} kept no weights for predictions; --keep-missing runs {again} again"
