"""Why no unit starts: which trials wait for which resources, and which of these no machine has."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grid.execution.allocation import living_nodes
from medpt import cli

CHECK_SECONDS = 1.0  # between looks at Tune's list of trials

Bundle = Mapping[str, float]


class StallNotice:
    """Reports what is waited for once no trial has run for `seconds`, then at doubled intervals."""

    def __init__(
        self,
        seconds: float,
        report: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        nodes: Callable[[], list[dict[str, float]]] = living_nodes,
    ) -> None:
        self.seconds, self.report, self.clock, self.nodes = seconds, report, clock, nodes
        self.checked = self.last_moved = clock()
        self.patience = seconds

    def check(self, trials: Sequence[Any]) -> None:
        """Report if trials wait and none has run for too long; `trials` is Tune's list."""
        now = self.clock()
        if now - self.checked < CHECK_SECONDS:
            return
        self.checked = now
        pending = [trial for trial in trials if trial.status == "PENDING"]
        if not pending or any(trial.status == "RUNNING" for trial in trials):
            self.last_moved, self.patience = now, self.seconds
        elif now - self.last_moved >= self.patience:
            self.patience *= 2
            wanted = [trial.placement_group_factory.bundles[0] for trial in pending]
            self.report(describe_stall(now - self.last_moved, wanted, self.nodes()))


def describe_stall(seconds: float, wanted: Sequence[Bundle], nodes: Sequence[Bundle]) -> str:
    """Return the text of a notice: what trials want, equal wants once, and why none of it is there."""
    distinct = {tuple(sorted(bundle.items())): bundle for bundle in wanted}
    lines = [f"no unit has started for {seconds:.0f} s; {len(wanted)} are waiting:"]
    lines += [f"  {_words(bundle)} each: {reason(bundle, nodes)}" for bundle in distinct.values()]
    lines.append("  they start as soon as resources are free; `ray status` shows the state of the cluster")
    return "\n".join(lines)


def reason(bundle: Bundle, nodes: Sequence[Bundle]) -> str:
    """Return why none of the machines, given by their resources, has started a trial that wants `bundle`."""
    lacking = [name for name, amount in bundle.items() if all(node.get(name, 0) < amount for node in nodes)]
    if lacking:
        return f"none of {cli.count(len(nodes), 'machine')} of the cluster has as much {' or '.join(lacking)}"
    if not any(all(node.get(name, 0) >= amount for name, amount in bundle.items()) for node in nodes):
        return f"no single machine of the cluster's {len(nodes)} has both"
    return "the machines that have it are used by other work"


def _words(bundle: Bundle) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
