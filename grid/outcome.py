"""What a run prints when it ends: tables, the answer, failures and the report; or an answer so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.store.store import Store
from medpt import cli, files

if TYPE_CHECKING:
    import pandas as pd

    from grid.results.answer import Answer

ANSWER = "answer.json"
MOST_ANSWERS = 4  # paragraphs on a terminal; the report has all


@dataclass(frozen=True)
class Outcome:
    """A run that has ended. `uri` is None where MLflow cannot be read."""

    plan: Plan
    store: Store
    console: Console
    uri: str | None

    def print_results(self) -> None:
        """Print the tables of the run's trials from the store, and the answers where they are few."""
        from grid import results
        from grid.report.tables import print_tables
        from grid.report.test_sets import print_test_sets
        from grid.results.answer import answers
        from grid.results.frame import trials_frame

        frame = trials_frame(self.plan, self.uri, self.store)
        print_tables(results.find_cells(frame), self.console)
        print_test_sets(frame, self.console)
        for warning in frame.attrs["warnings"]:
            self.console.print(f"warning: {warning}")
        for note in frame.attrs.get("selections", ()):
            self.console.print(note)
        found = answers(frame)
        path = write_answers(found, self.plan, self.store)
        if lines := answer_lines(frame, found):
            where = [*weights_lines(found, self.plan, self.store), f"answer: {path}"]
            self.console.print("\n\n".join(("", *lines, "\n".join(where))))

    def report(self, *, recorded: bool, is_over: bool = False) -> int:
        """Print the failures and write the report; return the exit code.

        `is_over` says that the budget ended the run: then what was not run is counted and is no failure.
        """
        from grid import report

        left = [name for name in self.plan.units if not self.store.is_finished(name)]
        failures = self.store.failures()
        failed = [name for name in left if name in failures or not is_over]
        for name in failed:
            self.console.print(self.describe_failure(name))
        if is_over and len(failed) < len(left):
            units = cli.count(len(left) - len(failed), "unit")
            self.console.print(f"the budget is over: {units} left; run the same command to resume")
        self.console.print(f"report: {report.build(self.plan.space, self.store.out, self.uri)}")
        return 0 if recorded and not failed else 1

    def describe_failure(self, name: str) -> str:
        """Return why a unit is not finished, and what to do."""
        label = self.plan.units[name].label
        if name not in self.store.failures():
            return f"not run: {label} (needs a unit that failed)"
        failure = self.store.failure(name)
        line = f"failed: {label}: {failure.reason}"
        if failure.cause == "diverged":
            return f"{line}\n  to try again all the same, remove {self.store.out}/failed/{name}.json"
        return line + (f"\n  log: {self.store.out}/{failure.log}" if failure.log else "")


def resume_message(reason: str, options: RunOptions) -> str:
    """Return the final message of a run that ends early."""
    return f"\n{reason}; run the same command to resume:\n  {options.command}\n"


def interim_answer(plan: Plan, out: str) -> str:
    """Return what the finished trials of a plan say so far, and write it; empty where there is nothing."""
    from grid.results.answer import answers
    from grid.results.frame import trials_frame

    store = Store(out)
    frame = trials_frame(plan, None, store)
    found = answers(frame)
    write_answers(found, plan, store)
    return "".join(f"\n\n{line}" for line in answer_lines(frame, found)) + "\n"


def write_answers(found: Sequence["Answer"], plan: Plan, store: Store) -> Path:
    """Write the answers of all comparison groups to the folder of the report; return the path."""
    path = store.root / "reports" / plan.space / ANSWER
    files.write_json(path, [answer.to_json() for answer in found])
    return path


def answer_lines(frame: "pd.DataFrame", found: Sequence["Answer"]) -> Sequence[str]:
    """Return a paragraph for each comparison, nothing for more than MOST_ANSWERS; of one also the probes."""
    from grid.results import find_cells
    from grid.results.answer import out_option
    from grid.results.answer_text import describe, describe_probes

    comparisons = {cell.key.group for cell in find_cells(frame)}
    if len(comparisons) > MOST_ANSWERS:
        return ()
    option = out_option(frame)
    return [
        *(describe(answer, option) for answer in found),
        *(describe_probes(frame) if len(comparisons) == 1 else ()),
    ]


def weights_lines(found: Sequence["Answer"], plan: Plan, store: Store) -> list[str]:
    """Return where the weights are that the best initialization of a single comparison was pre-trained to."""
    if len(found) != 1 or not found[0].learned:
        return []
    weights = getattr(plan.units[found[0].digests[0]].spec, "weights", None)
    if not isinstance(weights, str) or weights not in plan.units:  # random, or published ones
        return []
    path = store.file(weights, "best.safetensors")
    return [f"weights of {found[0].best}: {path} (read by medpt.models.weights.load)"]
