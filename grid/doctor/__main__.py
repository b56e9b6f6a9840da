"""`python -m grid.doctor --space NAME`: check that everything is there for that run, a line per check.

Takes the arguments of grid.run. Exit codes: 0 all checks passed; 1 some failed; 2 the space is refused. It
starts no Ray, reads no labels and writes nothing; PyTorch is loaded only to look for GPUs.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

from rich.console import Console

from grid.cluster.cpus import usable_cpus
from grid.cluster.ray_session import OBJECT_STORE
from grid.doctor import checks, disk_usage, machine
from grid.doctor.checks import Finding
from grid.options import RunOptions, parse_options
from grid.plan import cost
from grid.plan import datasets as plan_datasets
from grid.plan.data_checks import refused
from grid.plan.initialization import published_weights, space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.space import reader
from grid.space.filters import select_trials
from grid.space.trials import Space
from grid.store.backends import is_url
from medpt import cli
from medpt.data.locate import user_cards
from medpt.errors import InputError
from medpt.models.torchvision_weights import OPTION, published_name

DESCRIPTION = "Check that everything is there for the run of these arguments; say what to do where it is not."

Check = Callable[[], Finding]


class PlannedRun:
    """What the run of `options` would use; looked up when it is first asked for."""

    def __init__(self, options: RunOptions, space: Space) -> None:
        self.options, self.space = options, space
        self.store = options.open_store()
        self.out = self.store.root
        self.cpus = options.cpus or usable_cpus()

    @cached_property
    def datasets(self) -> plan_datasets.SpaceDatasets:
        return plan_datasets.find(self.space, self.options.data, self.out, write=False)

    @property
    def is_synthetic(self) -> bool:
        """Whether the run writes the data itself."""
        return self.options.data is None and self.space.settings.phantom is not None

    @property
    def weights(self) -> Path | None:
        """The folder of published weights."""
        return self.options.imagenet_weights or self.datasets.weights

    @cached_property
    def plan(self) -> Plan:
        published = plan_datasets.published(self.space, self.weights)
        return build_plan(self.space, self.datasets.fingerprints, published)

    def images(self, dataset: str) -> Mapping[str, int]:
        """Return the images of a dataset by split: of its card, or of the synthetic data."""
        if not self.is_synthetic:
            return self.space.settings.card(dataset).counts
        drawn = (self.space.settings.phantom or {}) | self.space.settings.of(dataset).phantom
        return {split: drawn[split] for split in ("train", "test") if split in drawn}

    def disk_usage(self) -> Mapping[str, float]:
        """Return the bytes that the units left to run will write below `out`, by what they are for."""
        finished = self.store.finished()
        to_run = [unit for name, unit in self.plan.units.items() if name not in finished]
        cached = self.options.cache_bytes if self.options.cache is None else 0.0
        usage = disk_usage.estimate(to_run, self.plan.sizes, self.images, cached, self.cpus, self.plan.cards)
        kept = self.options.keep_missing or self.space.settings.keep == "best"
        return usage | ({"networks": cost.kept_bytes(to_run)} if kept else {})


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if arguments is None else arguments, "grid.doctor", DESCRIPTION)
    return cli.run_command(partial(check_run, options))


def check_run(options: RunOptions) -> int:
    """Run all checks for the run of `options`; return the exit code."""
    space = reader.load(options.space, user_cards(options.data), options.data)
    space = select_trials(space, options.filters, options.limit)
    return print_findings(checks_of(PlannedRun(options, space)), cli.console())


def print_findings(named: Mapping[str, Check], console: Console) -> int:
    """Run the checks and print a line for each as it ends; return 1 if any failed, else 0."""
    failed = 0
    for name, check in named.items():
        ok, text = check()
        failed += not ok
        console.print("ok    " if ok else "FAILED", style="green" if ok else "bold red", end=f" {name:<10} ")
        console.print(text)
    total = f"{len(named)} checks"
    console.print(f"{failed} of {total} failed" if failed else "ready")
    return 1 if failed else 0


def checks_of(run: PlannedRun) -> dict[str, Check]:
    """Return the checks by name, in the order in which they are made."""
    options, out = run.options, run.out
    in_bucket = is_url(options.out)
    return {
        "python": checks.python,
        "packages": checks.packages,
        "datasets": partial(check_datasets, run),
        "weights": partial(check_weights, run),
        "published": partial(check_published_weights, run),
        "out": partial(checks.bucket, run.store) if in_bucket else partial(checks.writable, out),
        "disk": lambda: checks.space(out, run.disk_usage()),
        "tracker": partial(checks.tracker, options.tracking_uri or _default_tracker(out)),
        **(
            _on_cluster(options.address, None if in_bucket else out)
            if options.address
            else _on_this_machine(run)
        ),
        "processes": partial(machine.processes, None if options.address else sys.executable),
        "loopback": machine.loopback,
        "open files": machine.open_files,
    }


def _on_cluster(address: str, out: Path | None) -> dict[str, Check]:
    """The nodes of a cluster check their own devices."""
    shared: dict[str, Check] = {"shared": partial(checks.shared, out)} if out else {}
    return {**shared, "cluster": partial(checks.cluster, address), "token": checks.token}


def _on_this_machine(run: PlannedRun) -> dict[str, Check]:
    return {
        "GPUs": machine.gpus,
        "CPUs": lambda: machine.cpus(run.cpus, machine.free_memory()),
        "shm": partial(machine.shared_memory, OBJECT_STORE),
        "temporary": partial(machine.temporary, tempfile.gettempdir()),
        "sockets": partial(machine.sockets, tempfile.gettempdir()),
    }


def _default_tracker(out: Path) -> str:
    from grid.tracking.client import default_uri

    return default_uri(out)


def check_datasets(run: PlannedRun) -> Finding:
    """Check that each dataset's folder is found; `medpt.data check` checks that a copy is complete."""
    names = space_datasets(run.space)
    if run.is_synthetic:
        return Finding(True, f"{len(names)} synthetic ones, which the run writes where they are missing")
    if problems := run.datasets.problems or refused(run.space, run.plan, run.datasets):
        return Finding(False, "\n".join(["", *(f"       {problem}" for problem in problems)]))
    return Finding(True, f"{len(names)} found; check their files: python -m medpt.data check NAME DIR")


def check_weights(run: PlannedRun) -> Finding:
    """Check that the published weights from which trials start are on this machine."""
    backbones = plan_datasets.imagenet_backbones(run.space)
    if not backbones:
        return Finding(True, "no trial starts from ImageNet weights")
    if run.options.imagenet_weights is None and run.datasets.weights is not None:
        return Finding(True, f"{len(backbones)} synthetic ones, which the run writes where they are missing")
    folder = run.weights or plan_datasets.torchvision_downloads()
    missing = [name for name in map(published_name, backbones) if not (folder / name).is_file()]
    if missing:
        names = ", ".join(missing)
        return Finding(False, f"not in {folder}: {names}: each process would download them; {OPTION}")
    return Finding(True, f"{len(backbones)} in {folder}")


def check_published_weights(run: PlannedRun) -> Finding:
    """Check that the files of published weights are the described ones and fit their backbones."""
    from medpt.models.weights_file import load_encoder_state

    found = published_weights(run.space)
    problems: list[str] = []
    for weights in found:
        try:
            load_encoder_state(weights)
        except InputError as error:
            problems += error.problems
    if problems:
        return Finding(False, "\n".join(["", *(f"       {problem}" for problem in problems)]))
    if not found:
        return Finding(True, "no trial starts from weights that a file describes")
    return Finding(True, f"{len(found)} complete: {', '.join(each.name for each in found)}")


if __name__ == "__main__":
    sys.exit(main())
