"""A plan carried out: what is left of it is run, recorded and reported. The heavy half of grid.run."""

from contextlib import ExitStack
from functools import partial

from rich.console import Console

from grid import extended
from grid.addresses import hide_passwords
from grid.cluster import temp_folders
from grid.cluster.connection_watch import leave_without_ray, message_on_crash, watch_connection
from grid.cluster.process_exit import exit_on_signals
from grid.cluster.ray_session import local_ray
from grid.execution import allocation
from grid.execution.inputs import weights_file
from grid.execution.progress import Progress
from grid.options import RunOptions
from grid.plan import cost
from grid.plan.plan import Plan, Unit
from grid.run import how_to_go_on
from grid.store.store import Store
from grid.tracking import tracker as track
from medpt.data.dataset import Dataset
from medpt.errors import InputError
from medpt.specs import Finetune


def execute(
    plan: Plan, store: Store, opened: dict[str, Dataset], options: RunOptions, console: Console
) -> int:
    """Exit code 0 when every unit of the plan is finished, else 1."""
    store.sweep()
    temp_folders.clean_up_abandoned()
    todo = unfinished(plan, store, console)
    extended.check((plan.units[name] for name in todo), plan.space.settings.size)
    check_published_weights(plan, todo, options)
    store.write_plan(plan.space.name, plan.plain())
    tracker = start_tracker(plan, store, options)
    announce(plan, todo, console)
    if todo:
        carry_out(plan, todo, store, opened, tracker, options, console)
    recorded = finish_tracking(tracker, console)
    return report_outcome(plan, store, tracker.uri, console, recorded=recorded)


def flush(plan: Plan, store: Store, options: RunOptions, console: Console) -> int:
    """Only brings the tracker up to date. Exit code 0 when it has all that the store has, else 1."""
    tracker = start_tracker(plan, store, options)
    if not finish_tracking(tracker, console):
        return 1
    ended = sum(store.is_finished(name) for name in plan.units)
    console.print(f"all {ended} runs of {plan.space.name} are in {hide_passwords(tracker.uri)}", markup=False)
    return 0


def start_tracker(plan: Plan, store: Store, options: RunOptions) -> track.Tracker:
    tracker = track.Tracker(options.tracking_uri or track.default_uri(store.root), store, plan)
    tracker.start()
    return tracker


def finish_tracking(tracker: track.Tracker, console: Console) -> bool:
    unsent = tracker.finish()
    if unsent:
        where = f"{hide_passwords(tracker.uri)} yet ({tracker.problem})"
        console.print(f"{unsent} runs are not in {where}; the same command sends them", markup=False)
    return not unsent


def unfinished(plan: Plan, store: Store, console: Console) -> list[str]:
    """The units to run, needs first. A needed result that is damaged is run again; a divergence is not."""
    finished, failed = store.finished(), store.failures()
    over = {name for name in failed & plan.units.keys() if store.failure(name)["cause"] == "diverged"}
    todo = [name for name in plan.units if name not in finished | over]  # a divergence has the same end again
    needed = {need for name in todo for need in plan.units[name].needs} & finished
    for name in sorted(store.doubtful(needed)):
        if problem := store.demote(name):
            console.print(f"{problem}\n  done again: {plan.units[name].label}", markup=False)
    return [name for name in plan.units if not store.is_finished(name) and name not in over]


def check_published_weights(plan: Plan, todo: list[str], options: RunOptions) -> None:
    """InputError where weights that a unit starts from cannot be had, before anything starts."""
    specs = [plan.units[name].spec for name in todo]
    backbones = {
        spec.backbone for spec in specs if isinstance(spec, Finetune) and spec.initialization == "imagenet*"
    }
    problems = []
    for backbone in sorted(backbones):
        from medpt.models import weights

        try:
            weights.published(backbone, weights_file(options.imagenet_weights, backbone))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def announce(plan: Plan, todo: list[str], console: Console) -> None:
    finished = len(plan.units) - len(todo)
    console.print(f"[bold]{plan.space.name}[/bold]: {plan.space.title}")
    console.print(f"{len(plan.trials)} trials, {len(plan.units)} units, {finished} of them ended before")
    if not todo:
        console.print("nothing is left to do")


def carry_out(
    plan: Plan,
    todo: list[str],
    store: Store,
    opened: dict[str, Dataset],
    tracker: track.Tracker,
    options: RunOptions,
    console: Console,
) -> None:
    costs = {name: cost.seconds(plan.units[name], plan.sizes, "CPU core") for name in todo}
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console, costs))
        stack.enter_context(local_ray(options.address, options.cpus, options.gpus))
        exit_on_signals(how_to_go_on(options))
        stack.enter_context(message_on_crash(ended(options)))
        stack.enter_context(watch_connection(head(), partial(leave_without_ray, lost(options))))
        from grid.execution import scheduler

        check_capacity(options, console)
        listeners = scheduler.RunListeners(
            on_event=(progress.on_event, tracker.note),
            on_images=progress.on_images,
            on_stall=lambda text: console.print(text, markup=False),
        )
        scheduler.run_units(plan, set(todo), store, options, opened, listeners)


def check_capacity(options: RunOptions, console: Console) -> None:
    """Raise InputError for GPUs that PyTorch cannot use; print if a cluster without GPUs trains on CPUs."""
    capacity = allocation.capacity(options.cpus, options.gpus)
    if not options.address:
        allocation.check_gpus(capacity.gpus)
    elif options.gpus is None and not capacity.gpus:
        console.print("the cluster has no GPU now, so units train on CPUs; --gpus N waits for N GPUs")


def head() -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def lost(options: RunOptions) -> str:
    return f"\nRay is gone{f' from {options.address}' if options.address else ''}{how_to_go_on(options)}"


def ended(options: RunOptions) -> str:
    return f"\nended from outside, or with Ray's processes on this machine{how_to_go_on(options)}"


def report_outcome(plan: Plan, store: Store, uri: str, console: Console, *, recorded: bool) -> int:
    """The table, the failures and the report's place; without the record there is no table to show."""
    from grid import report

    recorded = recorded and print_results(plan, store, uri, console)
    failures = [name for name in plan.units if not store.is_finished(name)]
    for name in failures:
        console.print(failure_line(plan.units[name], store), markup=False)
    if recorded:
        console.print(f"report: {report.build(plan.space.name, store.out, uri)}", markup=False)
    return 1 if failures else 0


def print_results(plan: Plan, store: Store, uri: str, console: Console) -> bool:
    """Whether the table could be read; a tracker may be lost after it took everything."""
    from grid import results
    from grid.report.tables import print_tables

    try:
        print_tables(results.find_cells(results.load(plan.space.name, store.out, uri)), console)
    except InputError as error:
        console.print(str(error), markup=False)
        return False
    return True


def failure_line(unit: Unit, store: Store) -> str:
    if unit.digest not in store.failures():
        return f"not run: {unit.label} (needs a unit that failed)"
    failure = store.failure(unit.digest)
    line = f"failed: {unit.label}: {failure['reason']}"
    if failure["cause"] == "diverged":
        path = f"{store.out}/failed/{unit.digest}.json"
        return f"{line}\n  it would again; to try all the same, remove {path}"
    return line + (f"\n  log: {failure['log']}" if failure["log"] else "")
