"""One run of a space: find its data, run the units that are left, record and report them."""

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from rich.console import Console

from grid import outcome
from grid.addresses import hide_passwords
from grid.clean import clean
from grid.cluster import process_exit, temp_folders
from grid.dry_run import print_plan
from grid.options import RunOptions
from grid.plan import datasets
from grid.plan.cost import CPU, GPU, data_sizes
from grid.plan.data_checks import check_found, open_checked
from grid.plan.datasets import SpaceDatasets
from grid.plan.estimate import Estimate, estimate, record
from grid.plan.initialization import published_weights
from grid.plan.plan import Plan
from grid.plan.requested_plan import build_plan, load_space
from grid.plan.stored_plans import record_start
from grid.plan.test_sets import record_subgroups
from grid.preparation.content_recorder import ContentRecorder
from grid.space.trials import Space
from grid.space.weights_folders import describe_weights
from grid.store.kept_networks import without_networks
from grid.store.store import Store
from grid.store.verification import find_withheld, verify
from grid.tracking.client import default_uri
from grid.unchanged import LastOutcome
from medpt import cli
from medpt.data.dataset import Dataset
from medpt.errors import InputError

if TYPE_CHECKING:
    from grid.execution.allocation import Capacity
    from grid.tracking.background import BackgroundTracker

Opened = Mapping[str, Dataset]


@dataclass(frozen=True)
class Run:
    """One start of the command: what it works on, and where it prints."""

    options: RunOptions
    space: Space
    plan: Plan
    store: Store
    console: Console
    started: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float:
        """The time of time.monotonic() at which the budget is over."""
        return self.started + (self.options.budget_seconds or math.inf)

    @property
    def is_over(self) -> bool:
        """Whether the budget is over."""
        return time.monotonic() >= self.deadline


def run_space(options: RunOptions) -> int:
    """Plan, run and report a space; return the exit code."""
    space = load_space(options)
    store = options.open_store(run=uuid4().hex)
    runs = not (options.dry_run or options.clean)
    if runs:
        options = replace(options, tracking_uri=options.tracking_uri or default_uri(store.root))
        store.create()
    found = datasets.find(space, options.data, store.root, write=runs)
    options = replace(
        options,
        imagenet_weights=options.imagenet_weights or found.weights,
        keeps_networks=options.keep_missing or space.settings.keep == "best",
        weights_files=tuple(each.path for each in published_weights(space)),
    )
    run = Run(options, space, build_plan(space, found, options), store, cli.console())
    if (options.clean or options.flush) and found.problems:  # the digests of units depend on the data
        raise InputError(found.problems)
    if options.clean:
        return clean(run.plan, store, options, run.console)
    if options.dry_run:
        print_plan(run.plan, store, found, options, run.console)
        print_notes(run)
        check_found(space, run.plan, found)
        return 0
    process_exit.exit_on_signals(outcome.resume_message("interrupted", options))
    with store.documents.in_use():
        return flush(run) if options.flush else execute(run, found)


def execute(run: Run, found: SpaceDatasets) -> int:
    """Run what is left of a plan and report it; return the exit code."""
    opened = open_checked(run.space, run.plan, found)
    run = replace(run, plan=replace(run.plan, partial=datasets.partial_copies(opened)))
    record_subgroups(run.plan, opened, run.store)
    todo = units_to_run(run)
    check_units(run, todo)
    record_start(run.store, run.plan, run.space.path)
    print_counts(run, todo)
    last = LastOutcome(run.plan, run.store, str(run.options.tracking_uri), run.console.width)
    if not todo and (printed := last.read()):
        run.console.print(printed, end="")
        return 0
    tracker = start_tracker(run)
    if todo:
        estimated = estimate((run.plan.units[name] for name in todo), data_sizes(run.plan, found), run.store)
        recorder = ContentRecorder(run.plan, todo, found, run.store.root)
        run_units(run, estimated, opened, tracker, recorder)
    recorded = finish_tracking(run, tracker, changed=bool(todo))
    ended = outcome.Outcome(run.plan, run.store, run.console, tracker.uri if recorded else None)
    run.console.record = True
    ended.print_results()
    code = ended.report(recorded=recorded, is_over=run.is_over)
    if code == 0 and not run.is_over:
        last.save(run.console.export_text())
    return code


def units_to_run(run: Run) -> list[str]:
    """Return the digests left to run, inputs first.

    Diverged units are skipped, and damaged ones are run again. Also removes what killed drivers left.
    """
    plan, store = run.plan, run.store
    store.clean_up()
    temp_folders.clean_up_abandoned()
    failed = store.failures() & plan.units.keys()
    diverged = {name for name in failed if store.failure(name).cause == "diverged"}
    if run.options.keep_missing:
        invalidate_unkept(run)
    invalidate_damaged(run, diverged)
    return [name for name in plan.units if not store.is_finished(name) and name not in diverged]


def invalidate_unkept(run: Run) -> None:
    """Make finished fine-tunings without a kept network unfinished, and print which."""
    for name in without_networks(run.store, run.plan.units):
        run.store.invalidate(name)
        run.console.print(f"run again to keep its weights: {run.plan.units[name].label}")


def invalidate_damaged(run: Run, diverged: set[str]) -> None:
    """Make damaged units unfinished and print which.

    Inputs of units that will run get a complete check, the others a quick one unless --verify is given.
    Pulled inputs whose images or weights were not published count as damaged.
    """
    plan, store = run.plan, run.store
    finished = store.finished() & plan.units.keys()
    found = verify(store, finished, thorough=run.options.verify)
    if found.unverified:
        units = cli.count(len(found.unverified), "finished unit")
        run.console.print(f"{units} not verified: version 0.3.1 recorded no checksums")
    checked: set[str] = finished if run.options.verify else set()
    while True:
        for name, problem in sorted(found.damaged.items()):
            store.invalidate(name)
            run.console.print(f"{problem}\n  run again: {plan.units[name].label}")
        finished = store.finished()
        todo = plan.units.keys() - finished - diverged
        inputs = {need for name in todo for need in plan.units[name].needs} & finished
        if not inputs - checked:
            return
        found = verify(store, store.suspects(inputs - checked), thorough=True)
        found.damaged.update(find_withheld(store, inputs - checked))
        checked |= inputs


def check_units(run: Run, todo: list[str]) -> None:
    """Raise InputError where extensions or published weights that the units use cannot be loaded."""
    if not todo:
        return
    from grid.execution.inputs import check_weights
    from medpt.models import contract

    specs = [run.plan.units[name].spec for name in todo]
    contract.check_extensions(specs, run.space.settings.size)
    check_weights(specs, run.options)


def print_counts(run: Run, todo: list[str]) -> None:
    """Print how many units are finished and how many are left."""
    units = len(run.plan.units)
    finished = sum(run.store.is_finished(name) for name in run.plan.units)
    diverged = units - finished - len(todo)
    counts = f"{finished} finished, {len(todo)} to run" + (f", {diverged} diverged" if diverged else "")
    run.console.print(f"{run.plan.space}: {run.plan.title}", style="bold")
    if run.plan.selection:
        run.console.print(f"only the trials of {run.plan.selection}; others keep their results")
    print_notes(run)
    trials = cli.count(len(run.plan.trials), "trial")
    run.console.print(f"{trials}, {cli.count(units, 'unit')}: {counts}")
    if not todo:
        run.console.print("nothing is left to do")


def print_notes(run: Run) -> None:
    """Print what the published weights of the space are, and which trials it does not have."""
    for weights in published_weights(run.space):
        run.console.print(describe_weights(weights))
    for note in run.space.notes:
        run.console.print(note)


def run_units(
    run: Run, todo: Estimate, opened: Opened, tracker: "BackgroundTracker", recorder: ContentRecorder
) -> None:
    """Start or join Ray and run the units; how each ended is in the store."""
    from grid.cluster.ray_session import gcs_address, ray_session
    from grid.execution.progress import Progress

    options, plan, console, started = run.options, run.plan, run.console, time.time()
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(console, todo.seconds[GPU if options.gpus else CPU]))
        stack.enter_context(ray_session(options.address, options.cpus, options.gpus))
        words = partial(outcome.interim_answer, plan, run.store.out)
        process_exit.exit_on_signals(outcome.resume_message("interrupted", options), words)
        killed = outcome.resume_message("the process or its Ray was killed", options)
        stack.enter_context(process_exit.message_on_crash(killed))
        where = options.address or "this machine"
        lost = outcome.resume_message(f"the connection to Ray at {where} was lost", options)
        exit_ = partial(process_exit.exit_without_ray, lost)
        stack.enter_context(process_exit.watch_connection(gcs_address(), exit_))
        from grid.execution import scheduler

        capacity = check_capacity(run)
        listeners = scheduler.RunListeners(
            on_event=(progress.on_event, tracker.on_event),
            on_images=progress.on_images,
            on_prepared=recorder.wait,
            on_stall=partial(console.print),
            deadline=run.deadline,
        )
        scheduler.run_units(plan, set(todo.units), run.store, options, opened, listeners)
        predicted, took = record(run.store, todo, int(capacity.cpus), int(capacity.gpus), started)
    console.print(f"predicted {cli.duration(predicted)}, took {cli.duration(took)}")


def check_capacity(run: Run) -> "Capacity":
    """Return what the run may use. Raises InputError for GPUs that PyTorch cannot use.

    Prints it where a cluster without GPUs is used.
    """
    from grid.execution import allocation

    options = run.options
    capacity = allocation.capacity(options.cpus, options.gpus)
    if not options.address:
        allocation.check_gpus(capacity.gpus)
    elif options.gpus is None and not capacity.gpus:
        run.console.print("the cluster has no GPU now, so units train on CPUs; --gpus N waits for N GPUs")
    return capacity


def flush(run: Run) -> int:
    """Send MLflow what it lacks of the finished units; return the exit code."""
    tracker = start_tracker(run)
    if not finish_tracking(run, tracker, changed=True):
        return 1
    runs = cli.count(sum(map(run.store.is_finished, run.plan.units)), "run")
    run.console.print(f"{runs} of {run.plan.space} recorded in {hide_passwords(tracker.uri)}")
    return 0


def start_tracker(run: Run) -> "BackgroundTracker":
    """Start recording the run in MLflow, from a thread."""
    from grid.tracking.background import BackgroundTracker

    tracker = BackgroundTracker(str(run.options.tracking_uri), run.store, run.plan)
    tracker.start()
    return tracker


def finish_tracking(run: Run, tracker: "BackgroundTracker", *, changed: bool) -> bool:
    """Wait for the last records; return whether MLflow has all, and print what it lacks.

    Where results `changed` or were not recorded, the summaries of all runs are recorded too.
    """
    from grid.results.summaries import space_summaries

    unsent = tracker.finish(space_summaries(run.plan, run.store) if changed or tracker.unsent else ())
    where = hide_passwords(tracker.uri)
    runs = f"{cli.count(unsent, 'run')} {'is' if unsent == 1 else 'are'}"
    if unsent and tracker.needs_repair:
        run.console.print(f"{runs} not in {where}: {tracker.problem}")
    elif unsent:
        run.console.print(f"{runs} not in {where} yet ({tracker.problem}); run the same command to send them")
    elif tracker.problem:
        run.console.print(f"the summaries are not in {where} yet ({tracker.problem}); --flush sends them")
    return not unsent
