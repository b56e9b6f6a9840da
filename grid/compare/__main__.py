"""`python -m grid.compare DIR`: which initialization should a network for these images start from?

It says what the folder is and what it would train, asks once, writes dataset.yaml and compare.yaml into the
working folder, runs that space (probes first, then rounds), and prints the answer in one paragraph. Exit
codes are those of grid.run.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from grid.argument_types import folder
from grid.cluster.cpus import usable_cpus
from grid.cluster.process_exit import exit_process
from grid.cluster.ray_session import find_head
from grid.compare import space_file
from grid.compare.schedule import Rule, Schedule, Work, choose, wanted_steps
from grid.compare.sources import Source, find_sources
from grid.compare.step_time import Speed, machine_speed
from grid.compare.target import Target, understand
from grid.options import (
    RunOptions,
    add_budget_argument,
    add_machine_arguments,
    add_where_arguments,
    command_line,
    command_parser,
)
from grid.plan.controls import control_networks
from grid.space_run import run_space
from medpt import cli
from medpt.arguments import name_list
from medpt.errors import InputError
from medpt.specs import CLASSIFIER

MODULE = "grid.compare"
BUDGET = 3600.0
BUSY = 1.3  # load of the machine from which the plan speaks of it
LARGER = 4  # times the budget, of which the plan says what it would add


@dataclass(frozen=True)
class CompareOptions:
    """The folder to compare on, the initializations, and the options of the run."""

    home: Path
    sources: tuple[str, ...]
    budget: float
    yes: bool
    run: RunOptions


def main(arguments: list[str] | None = None) -> int:
    options = parse(sys.argv[1:] if arguments is None else arguments)
    return cli.run_command(partial(compare, options), options.run.local_folder)


def parse(arguments: list[str]) -> CompareOptions:
    """Return the options of a command line; exit with code 2 and a message where one is not accepted."""
    values: dict[str, Any] = vars(parser().parse_args(arguments))
    own = {name: values.pop(name) for name in ("home", "sources", "yes")}
    options = RunOptions(space=space_file.SPACE, command=command_line(MODULE, arguments), **values)
    return CompareOptions(budget=float(values["budget_seconds"]), run=options, **own)


def parser() -> argparse.ArgumentParser:
    result = command_parser(MODULE, "Compare initializations on a folder of images.")
    result.add_argument("home", type=folder, metavar="DIR", help="class folders, a table of labels, or masks")
    result.add_argument(
        "--sources",
        type=name_list,
        default=(),
        metavar="A,B,…",
        help='such as "random,imagenet*,EyePACS,SS-Jigsaw" (default: those that are available)',
    )
    add_budget_argument(result, BUDGET, "how long it may take, such as 2h or 45m (default: 1h)")
    result.add_argument("--yes", action="store_true", help="start without asking")
    add_where_arguments(result.add_argument_group("where data and results are"))
    add_machine_arguments(result.add_argument_group("what the run may use"))
    return result


def compare(options: CompareOptions) -> int:
    """Describe the folder, plan, ask, write the files and run them; return the exit code."""
    console, working = cli.console(), Path.cwd()
    check_folders(options, working)
    if space_file.existing(working, options.home, options.run.data):
        if options.sources:
            text = (
                f"{working / space_file.SPACE} names the initializations; edit it, or remove it to plan anew"
            )
            raise InputError(f"--sources: {text}")
        console.print(f"{space_file.SPACE} is there: it is run as it is (remove it to plan anew)")
    else:
        if options.run.address:
            find_head(options.run.address)  # before anything is written
        plan = Comparison.of(options)
        plan.print(console)
        is_wanted = confirm(options.yes)
        written = space_file.write(working, *plan.texts())
        console.print(f"written: {', '.join(map(str, written))}")
        if not is_wanted:
            console.print("edit the files and run the same command again to start")
            return 0
    return run_space(options.run)


def check_folders(options: CompareOptions, working: Path) -> None:
    """Raise InputError where the folder is missing, or files would be written into it."""
    home, results = options.home.resolve(), options.run.local_folder
    if not home.is_dir():
        raise InputError(f"{options.home}: no such folder")
    if results.resolve().is_relative_to(home) and not working.resolve().is_relative_to(home):
        raise InputError(f"--out {results}: lies below the images; another folder is accepted")
    if working.resolve().is_relative_to(home):
        text = "the files of a comparison are written to the working folder, and never below the images"
        raise InputError(f"{working}: {text}; change to another folder first")


def confirm(yes: bool) -> bool:
    """Ask whether to start. Raises InputError where nobody can answer."""
    if yes:
        return True
    if not (sys.stdin and sys.stdin.isatty()):
        raise InputError("without a terminal to ask at, --yes is needed")
    return input("start? [Y/n] ").strip().lower() in ("", "y", "yes")


@dataclass(frozen=True)
class Comparison:
    """What is compared and how: all that is printed before the question."""

    options: CompareOptions
    target: Target
    sources: Sequence[Source]
    notes: Sequence[str]
    speed: Speed
    schedule: Schedule
    larger: Schedule

    @classmethod
    def of(cls, options: CompareOptions) -> "Comparison":
        """Look at the folder and at this machine. Raises InputError with what is wrong."""
        target, rule, site = understand(options.home), Rule(), options.run
        sources, notes = find_sources(
            options.sources, target.card, site.data, site.imagenet_weights, rule.backbone
        )
        workers, on_gpu = devices(site)
        folds = target.card.folds
        work = Work(
            images=target.train,
            side=target.side,
            initializations=len(sources),
            trained=sum(source.is_trained_here for source in sources),
            random_networks=control_networks(target.card.task),
            self_supervised=sum(source.is_self_supervised for source in sources),
            has_splits=folds > 1,
            workers=workers,
            repeats=folds if folds > 1 and not target.draft else None,
        )
        architecture = "unet" if target.card.task == "segmentation" else CLASSIFIER
        speed = machine_speed(architecture, rule.backbone, on_gpu=on_gpu)
        chosen = [choose(work, budget, speed, rule) for budget in (options.budget, LARGER * options.budget)]
        return cls(options, target, sources, notes, speed, *chosen)

    def texts(self) -> tuple[str, str]:
        """Return the texts of dataset.yaml, empty where the folder has its own, and compare.yaml."""
        card = space_file.card_of(self.target, self.schedule)
        return card, space_file.space_of(self.target, self.sources, self.schedule, self.options.run.command)

    def print(self, console: Console) -> None:
        """Print what was understood, what is compared, and what it costs."""
        console.print(f"{self.target.card.name}: {self.options.home}", style="bold")
        for name, text, unsure in self.target.lines():
            console.print(f"  {'?' if unsure else ' '} {name:<9} {text}")
        if self.target.unsure:
            console.print(
                "  lines with ? are guesses: answer n, correct dataset.yaml, and run the command again"
            )
        console.print("initializations:")
        for source in self.sources:
            console.print(f"    {source.name:<9} {source.reason}")
        for note in self.notes:
            console.print(f"    ({note})")
        console.print("\n".join(self.plan_lines()))

    def plan_lines(self) -> list[str]:
        chosen, larger = self.schedule, self.larger
        runs = len(self.sources) * chosen.repeats
        word = "split" if self.target.card.folds > 1 else "seed"
        lines = [
            f"plan: {cli.count(runs, 'fine-tuning')} ({len(self.sources)} initializations, "
            f"{cli.count(chosen.repeats, word)}) of {chosen.steps:,} steps at {chosen.size} px"
            + (f", pre-trainings of {chosen.pretrain_steps:,} steps" if chosen.pretrain_steps else ""),
            f"time: about {clock(chosen.seconds)} here, of a budget of {clock(self.options.budget)}",
        ]
        if self.speed.load > BUSY:
            slower = f"everything takes {self.speed.load:.1f} times as long"
            lines.append(f"other programs use this machine: {slower}")
        usual = control_networks(self.target.card.task)
        if chosen.random_networks < usual:
            lines.append(f"the control has {chosen.random_networks} random networks instead of {usual}")
        if not chosen.fits:
            lines.append("the budget is too short: the run ends with it, and the answer has what is finished")
        enough = wanted_steps(self.target.train, Rule())
        if chosen.steps < enough:
            lines.append(
                f"{enough:,} steps are recommended for so many images; the budget is too short for them"
            )
        if (larger.size, larger.repeats, larger.steps) != (chosen.size, chosen.repeats, chosen.steps):
            lines.append(
                f"with {clock(LARGER * self.options.budget)}: {cli.count(larger.repeats, word)} of "
                f"{larger.steps:,} steps at {larger.size} px"
            )
        return lines


def devices(options: RunOptions) -> tuple[int, bool]:
    """Return how many trials run at once, and whether on GPUs. Of a cluster, what --cpus or --gpus name."""
    if options.gpus is None and not options.address and os.path.exists("/proc/driver/nvidia/version"):
        import torch

        return torch.cuda.device_count(), True
    return (options.gpus, True) if options.gpus else (options.cpus or usable_cpus(), False)


def clock(seconds: float) -> str:
    """Write a time as `45 min` or `2.5 h`."""
    return f"{max(1, round(seconds / 60))} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    exit_process(main())
