"""SIGKILL at random moments of a grid, the same command again until it is done, and what was lost.

Drivers, trial processes, raylets and Ray's head (the GCS) of small spaces are killed 0.5 to 8 seconds after
they were seen, drivers also after the first trial process was; after 25 kills a space may finish. Exit code 1
where the contract of docs/reliability.md is broken.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import oracle
import psutil
import tiny

SPACE = tiny.SPACE.replace("max_steps: 8, evaluate_every: 2", "max_steps: 24, evaluate_every: 6")
WEIGHTS = {"trial": 10, "driver": 4, "driver that starts": 3, "raylet": 2, "gcs": 1}
TITLES = {"trial": "ray::ImplicitFunc", "raylet": "/raylet/raylet ", "gcs": "/gcs/gcs_server "}
EARLIEST, LATEST = 0.5, 8.0  # seconds
KILLS_A_SPACE = 25  # without an end the last unit takes most of them, before its first checkpoint
ROUNDS = 50  # of one space
BOUNDS = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]  # of the histogram, seconds


@dataclass
class Tally:
    """What was seen; `repeated` and `recovered` in seconds, one number for each unit that a kill hit."""

    kills: Counter[str] = field(default_factory=Counter)
    spaces: int = 0
    rounds: int = 0
    lost: int = 0
    again: int = 0
    unlike: int = 0
    processes: int = 0
    folders: int = 0
    repeated: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.kills.values())


@dataclass
class Grid:
    """One small space on its way to its end."""

    place: oracle.Place
    command: list[str]
    out: Path
    kills: list[oracle.Kill] = field(default_factory=list)
    trial_hits: list[tuple[str, float]] = field(default_factory=list)  # unit, time
    seen: dict[str, str] = field(default_factory=dict)  # markers as they first appeared

    def look(self) -> list[str]:
        """Units whose marker is not the one that was first seen."""
        now = {path.stem: path.read_text() for path in (self.out / "done").glob("[0-9a-f]*.json")}
        changed = [name for name, text in self.seen.items() if now.get(name) != text]
        self.seen = now | self.seen
        return changed

    def at_work(self, pid: int | None) -> Iterator[tuple[str, float]]:
        """Units that a kill of `pid` (None: of all) hits, and since when their work is not safe."""
        alive = {process.pid for process in self.place.processes()}
        for name, lines in oracle.attempts(self.out).items():
            last = lines[-1] if lines else {"released": True}
            if name not in self.seen and not last["released"] and last["pid"] in alive & {pid or last["pid"]}:
                yield name, max([last["started"], *times(self.out / "checkpoints" / name)])


def times(folder: Path) -> list[float]:
    """When what is in the folder was written; a unit may finish, and it go, meanwhile."""
    found = []
    for path in folder.glob("*"):
        try:
            found.append(path.stat().st_mtime)
        except OSError:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory(prefix="mk-") as folder:
        campaign(tally, Path(folder), options.kills, random.Random(options.seed))
    facts = figures(tally) | {"seed": options.seed, "minutes": round((time.monotonic() - begun) / 60, 1)}
    print(shown(facts))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    return 1 if tally.problems else 0


def campaign(tally: Tally, folder: Path, kills: int, rng: random.Random) -> None:
    data, space = tiny.data(folder / "data"), tiny.written(folder, SPACE)
    reference = folder / "reference"
    tiny.run(space, data, reference)
    while tally.total < kills:
        with oracle.place() as place:
            out = folder / f"space-{tally.spaces}"
            grid = Grid(place, tiny.command(space, data, out), out)
            finish(grid, tally, min(kills, tally.total + KILLS_A_SPACE), rng)
            conclude(grid, tally, reference)
        print(f"{tally.total} kills, {tally.spaces} spaces, {len(tally.problems)} problems", flush=True)


def finish(grid: Grid, tally: Tally, most: int, rng: random.Random) -> None:
    """The same command until it says that all is done."""
    for _ in range(ROUNDS):
        tally.rounds += 1
        process = grid.place.start(grid.command)
        while process.poll() is None and tally.total < most:
            strike(grid, process, tally, rng)
        wait_until(lambda: False, grid, process, tally, seconds=600)
        if process.wait(timeout=600) == 0:
            return
    tally.problems.append(f"not done after {ROUNDS} rounds: {grid.place.output()[-2000:]}")


def strike(grid: Grid, process: "subprocess.Popen[str]", tally: Tally, rng: random.Random) -> None:
    """One kill, unless the run ends before."""
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    if not wait_until(lambda: bool(victims(grid, process, kind)), grid, process, tally, seconds=900):
        return
    wait_until(lambda: False, grid, process, tally, seconds=rng.uniform(EARLIEST, LATEST))
    found = victims(grid, process, kind)
    if process.poll() is not None or not found:
        return
    pid = rng.choice(found)
    alone = pid if kind == "trial" else None
    hit = list(grid.at_work(alone))
    now = time.time()
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
    tally.kills[kind] += 1
    print(f"{now:.1f} {kind}: {len(grid.seen)} finished, {len(hit)} at work", file=sys.stderr, flush=True)
    tally.repeated += [max(0.0, now - safe) for _, safe in hit]
    if kind == "trial":
        grid.trial_hits += [(name, now) for name, _ in hit]
    if kind in ("raylet", "gcs"):  # without them a driver notices after a minute at most; a user does before
        wait_until(lambda: False, grid, process, tally, seconds=rng.uniform(EARLIEST, LATEST))
        process.kill()
    if kind != "trial":
        process.wait(timeout=60)
    grid.kills.append(oracle.Kill(now, time.time(), alone))


def wait_until(
    condition: Any, grid: Grid, process: "subprocess.Popen[str]", tally: Tally, seconds: float
) -> bool:
    """Watches the markers meanwhile; whether the condition held before the time or the run was over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        if changed := grid.look():
            tally.again += len(changed)
            tally.problems += [f"finished, and published again: {name}" for name in changed]
            for name in changed:
                del grid.seen[name]
        if condition():
            return True
        time.sleep(0.1)
    return False


def victims(grid: Grid, process: "subprocess.Popen[str]", kind: str) -> list[int]:
    if kind == "driver that starts":
        return [process.pid]
    if kind == "driver":
        return [process.pid] * bool(victims(grid, process, "trial"))
    return [one.pid for one in descendants(process) if TITLES[kind] in title(one)]


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return []


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) + " "
    except psutil.Error:
        return ""


def conclude(grid: Grid, tally: Tally, reference: Path) -> None:
    """Holds what there is now against the undisturbed run."""
    until = time.monotonic() + 15
    while time.monotonic() < until and list(grid.place.processes()):
        time.sleep(0.5)
    left, folders = [title(process) for process in grid.place.processes()], grid.place.folders()
    problems = oracle.broken(grid.out, reference, grid.kills)
    tally.spaces += 1
    tally.lost += sum(problem.startswith("lost") for problem in problems)
    tally.again += sum(problem.startswith("executed again") for problem in problems)
    tally.unlike += sum(problem.startswith("other") for problem in problems)
    tally.processes += len(left)
    tally.folders += len(folders)
    tally.problems += (
        problems + [f"left running: {name}" for name in left] + [f"left: {name}" for name in folders]
    )
    tally.recovered += recoveries(grid)


def recoveries(grid: Grid) -> list[float]:
    """Seconds from a trial's kill to the next execution of its unit, where the driver lived on."""
    lines, found = oracle.attempts(grid.out), []
    others = [kill.time for kill in grid.kills if kill.pid is None]
    for name, time_ in grid.trial_hits:
        later = [line["started"] for line in lines[name] if line["started"] > time_]
        if later and not any(time_ < other < later[0] for other in others):
            found.append(later[0] - time_)
    return found


def figures(tally: Tally) -> dict[str, Any]:
    repeated, recovered = sorted(tally.repeated), sorted(tally.recovered)
    return {
        "kills": dict(tally.kills),
        "spaces": tally.spaces,
        "rounds": tally.rounds,
        "units lost": tally.lost,
        "units executed again after finishing": tally.again,
        "units with other numbers or weights": tally.unlike,
        "processes left": tally.processes,
        "folders left": tally.folders,
        "executions interrupted": len(repeated),
        "seconds of work repeated": histogram(repeated),
        "median repeated": round(quantile(repeated, 0.5), 2),
        "most repeated": round(quantile(repeated, 1), 2),
        "seconds to resume after a trial's kill, median and 95 %": [
            round(quantile(recovered, share), 1) for share in (0.5, 0.95)
        ],
        "problems": tally.problems,
    }


def histogram(values: list[float]) -> dict[str, int]:
    edges = [0.0, *BOUNDS, float("inf")]
    return {
        f"{low:g}-{high:g}": sum(low <= value < high for value in values) for low, high in pairwise(edges)
    }


def quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def shown(facts: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in facts.items())


if __name__ == "__main__":
    sys.exit(main())
