"""When nothing starts: what waits for which resources, and which of them no machine of the cluster has."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grid.execution.allocation import living

LOOK = 1.0  # seconds between looks at Tune's list of trials

Bundle = Mapping[str, float]


class StallNotice:
    """Says what is waited for once no trial has run for `seconds`, then at doubled intervals."""

    def __init__(
        self,
        seconds: float,
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        nodes: Callable[[], list[dict[str, float]]] = living,
    ) -> None:
        self.seconds, self.say, self.clock, self.nodes = seconds, say, clock, nodes
        self.looked = self.moved = clock()
        self.next = seconds

    def look(self, trials: Sequence[Any]) -> None:
        now = self.clock()
        if now - self.looked < LOOK:
            return
        self.looked = now
        pending = [trial for trial in trials if trial.status == "PENDING"]
        if not pending or any(trial.status == "RUNNING" for trial in trials):
            self.moved, self.next = now, self.seconds
        elif now - self.moved >= self.next:
            self.next *= 2
            asked = [trial.placement_group_factory.bundles[0] for trial in pending]
            self.say(told(now - self.moved, asked, self.nodes()))


def told(seconds: float, asked: Sequence[Bundle], nodes: Sequence[Bundle]) -> str:
    distinct = {tuple(sorted(bundle.items())): bundle for bundle in asked}
    lines = [f"for {seconds:.0f} s no unit has been at work, and {len(asked)} wait:"]
    lines += [f"  {_words(bundle)} each: {why(bundle, nodes)}" for bundle in distinct.values()]
    lines.append("  they start as soon as there is room; `ray status` says what the cluster does about it")
    return "\n".join(lines)


def why(bundle: Bundle, nodes: Sequence[Bundle]) -> str:
    """Why none of the machines that are there, given by their resources, has started this."""
    lacking = [name for name, amount in bundle.items() if all(node.get(name, 0) < amount for node in nodes)]
    if lacking:
        return f"none of the cluster's {len(nodes)} machines has as much {' or '.join(lacking)}"
    if not any(all(node.get(name, 0) >= amount for name, amount in bundle.items()) for node in nodes):
        return f"no single machine of the cluster's {len(nodes)} has both"
    return "the machines that have it are taken by other work"


def _words(bundle: Bundle) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in bundle.items())
