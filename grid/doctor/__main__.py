"""`python -m grid.doctor --space NAME`: is everything there for that run? A line each: ok, or what to do.

Takes the arguments of grid.run. Exit codes: 0 all is well; 1 something is to do; 2 the space is refused.
Ray is not started, no label is read and nothing is written; torch is loaded for the devices alone.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from rich.console import Console

from grid.cluster.ray_session import OBJECT_STORE
from grid.doctor import checks, disk_usage, machine
from grid.doctor.checks import Finding
from grid.options import RunOptions, parse_options
from grid.plan import datasets as sources
from grid.plan import plan as planning
from grid.plan.plan import Plan
from grid.space.filters import select_trials
from grid.space.reader import load
from grid.space.trials import Space
from grid.store.backends import is_url
from medpt import cli
from medpt.data import own
from medpt.data.catalog import card
from medpt.errors import InputError
from medpt.models.weights import OPTION, published_name

DESCRIPTION = "Check that all is there for the run of these arguments; print what to do where it is not."

Check = Callable[[], Finding]


class Wanted:
    """What the run that `options` describe would use."""

    def __init__(self, options: RunOptions, space: Space) -> None:
        self.options, self.space = options, space
        self.store = options.open_store()
        self.out = self.store.root
        self.cpus = options.cpus or machine.usable_cpus()

    @cached_property
    def found(self) -> sources.SpaceDatasets:
        return sources.find(self.space, self.options.data, self.out, write=False)

    @property
    def in_bucket(self) -> bool:
        return is_url(self.options.out)

    @property
    def synthetic(self) -> bool:
        return self.options.data is None and self.space.settings.phantom is not None

    @property
    def weights(self) -> Path | None:
        return self.options.imagenet_weights or self.found.weights

    @cached_property
    def plan(self) -> Plan:
        published = sources.published(self.space, self.weights)
        return planning.build(self.space, self.found.fingerprints, published)

    def counts(self, dataset: str) -> Mapping[str, int]:
        """Images by part: the card's, or what synthetic data are drawn with."""
        if not self.synthetic:
            return card(dataset).counts
        drawn = (self.space.settings.phantom or {}) | self.space.settings.of(dataset).phantom
        return {part: drawn[part] for part in ("train", "test") if part in drawn}

    def need(self) -> Mapping[str, float]:
        finished = self.store.finished()
        todo = [unit for name, unit in self.plan.units.items() if name not in finished]
        cached = self.options.cache_bytes if self.options.cache is None else 0.0
        return disk_usage.need(todo, self.plan.sizes, self.counts, cached, self.cpus)


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if arguments is None else arguments, "grid.doctor", DESCRIPTION)
    console = cli.console()
    try:
        if options.data is not None:
            own.register(options.data)
        wanted = Wanted(options, select_trials(load(options.space), options.filters, options.limit))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return report(checks_of(wanted), console)


def report(todo: Mapping[str, Check], console: Console) -> int:
    """A line a check as it ends; 1 where one of them found something to do."""
    left = 0
    for name, check in todo.items():
        ok, text = check()
        left += not ok
        console.print("[green]ok   [/green]" if ok else "[bold red]to do[/bold red]", end=f" {name:<10} ")
        console.print(text, markup=False)
    console.print(f"{left} of {len(todo)} to do" if left else "ready")
    return 1 if left else 0


def checks_of(wanted: Wanted) -> dict[str, Check]:
    """By name, in the order in which they are told; a cluster's nodes look after their own devices."""
    options = wanted.options
    places = _on_cluster(wanted, options.address) if options.address else _on_this_machine(wanted)
    return {
        "python": checks.python,
        "packages": checks.packages,
        "datasets": lambda: datasets(wanted),
        "weights": lambda: imagenet(wanted),
        "out": lambda: checks.bucket(wanted.store) if wanted.in_bucket else checks.writable(wanted.out),
        "disk": lambda: checks.space(wanted.out, wanted.need()),
        "tracker": lambda: checks.tracker(options.tracking_uri or _default_tracker(wanted.out)),
        **places,
        "loopback": machine.loopback,
        "open files": machine.open_files,
    }


def _on_cluster(wanted: Wanted, address: str) -> dict[str, Check]:
    return {
        **({} if wanted.in_bucket else {"shared": lambda: checks.shared(wanted.out)}),
        "cluster": lambda: checks.cluster(address),
        "token": checks.token,
    }


def _on_this_machine(wanted: Wanted) -> dict[str, Check]:
    import tempfile

    return {
        "GPUs": machine.gpus,
        "CPUs": lambda: machine.cpus(wanted.cpus, machine.free_memory()),
        "shm": lambda: machine.shared_memory(OBJECT_STORE),
        "sockets": lambda: machine.sockets(tempfile.gettempdir()),
    }


def _default_tracker(out: Path) -> str:
    from grid.tracking.tracker import default_uri

    return default_uri(out)


def datasets(wanted: Wanted) -> Finding:
    """Whether each dataset's folder is found; whether a copy is whole, `medpt.data check` says."""
    names = planning.datasets(wanted.space)
    if wanted.synthetic:
        return Finding(True, f"{len(names)} synthetic: drawn by the run where they are missing")
    if problems := wanted.found.problems:
        return Finding(False, "\n".join(["", *(f"      {problem}" for problem in problems)]))
    return Finding(True, f"{len(names)} found; whole? python -m medpt.data check NAME DIR")


def imagenet(wanted: Wanted) -> Finding:
    """Whether the published weights that the space starts from are on this machine."""
    backbones = sources.imagenet_backbones(wanted.space)
    if not backbones:
        return Finding(True, "no trial starts from ImageNet's")
    if wanted.options.imagenet_weights is None and wanted.found.weights is not None:
        return Finding(True, f"{len(backbones)} synthetic: drawn by the run where they are missing")
    folder = wanted.weights or _downloads()
    missing = [name for name in map(published_name, backbones) if not (folder / name).is_file()]
    if missing:
        return Finding(
            False, f"not in {folder}: {', '.join(missing)}: each process would fetch them; {OPTION}"
        )
    return Finding(True, f"{len(backbones)} in {folder}")


def _downloads() -> Path:
    """Where torchvision keeps what it fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints"


if __name__ == "__main__":
    sys.exit(main())
