"""Random damage to every kind of file of finished results: no wrong number is shown, nothing intact is lost.

Each case changes one file of a finished folder, then starts the space again up to the point where units would
run. `CASES` cases are drawn from one seed.
"""

import io
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import made_space
import pandas as pd
import pytest
import serial
import tiny

from grid import query
from grid import space_run as command
from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.results import frame
from grid.space import reader
from grid.space.trials import Space
from grid.store.store import Store
from medpt import cli
from medpt.errors import InputError

CASES, COMMANDS, SEED = 480, 20, 23
SPACE = f"""{made_space.FEW_UNITS.replace("[0, 1]", "[0, 1, 2]")}
  - initialization: [random]
    backbone: [resnet18]
    architecture: [unet]
    target: [DRIVE]
"""
Damage = Callable[[random.Random, Path], None]


def flip(draw: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(content))


def truncate(draw: random.Random, path: Path) -> None:
    path.write_bytes(path.read_bytes()[: draw.randrange(path.stat().st_size + 1)])


def overwrite(draw: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    start = draw.randrange(len(content) + 1)
    content[start : start + 512] = draw.randbytes(min(512, len(content) - start))
    path.write_bytes(bytes(content))


def edit(draw: random.Random, path: Path) -> None:
    """Replace one digit by another, as with an editor."""
    content = path.read_bytes()
    digits = [place for place, byte in enumerate(content) if byte in b"0123456789"]
    if digits:
        place = draw.choice(digits)
        content = content[:place] + str((int(chr(content[place])) + 1) % 10).encode() + content[place + 1 :]
    path.write_bytes(content)


def delete(draw: random.Random, path: Path) -> None:
    path.unlink()


def delete_folder(draw: random.Random, path: Path) -> None:
    shutil.rmtree(path.parent) if path.parent.parent.name == "units" else path.unlink()


KINDS: tuple[Damage, ...] = (flip, truncate, overwrite, edit, delete, delete_folder)


@dataclass(frozen=True)
class Finished:
    """Finished and recorded results, and the numbers that may be shown of them."""

    out: Path
    space: Space
    plan: Plan
    values: "pd.DataFrame"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("damage")
    plan = made_space.plan(folder, SPACE)
    made_space.record_all(made_space.publish(plan, folder / "out", set(), {}), plan)
    space = reader.load(str(folder / "made.yaml"))
    return Finished(folder / "out", space, plan, numbers("made", folder / "out"))


def numbers(space: str, out: Path) -> "pd.DataFrame":
    values = frame.load(space, out)
    return values[values["status"] == "finished"].set_index("digest")[["auc", "miou"]]


def shows_only_true_numbers(shown: "pd.DataFrame", true: "pd.DataFrame") -> bool:
    """Return whether every number shown, or its absence, is that of the intact results."""
    return shown.equals(true.loc[shown.index])


def start_again(found: Finished, out: Path, *, verify: bool) -> list[str]:
    """Start the space again, and return the digests of the units that would run."""
    options = RunOptions("made", str(out), verify=verify)
    run = command.Run(options, found.space, found.plan, Store(out), cli.console())
    todo = command.units_to_run(run)
    record_start(run.store, run.plan, Path("made.yaml"))
    return todo


def damage_a_file(draw: random.Random, intact: Path, out: Path) -> tuple[Path, str, bool]:
    """Damage a random file of `out`; return its path, a description, and whether the quick check sees it."""
    paths = sorted(path.relative_to(intact) for path in intact.rglob("*") if path.is_file())
    folder = draw.choice(sorted({path.parts[0] for path in paths}))
    path = draw.choice([path for path in paths if path.parts[0] == folder])
    kind, is_hidden, status = draw.choice(KINDS), draw.random() < 0.2, (out / path).stat()
    kind(draw, out / path)
    if is_hidden and (out / path).is_file():
        os.utime(out / path, ns=(status.st_atime_ns, status.st_mtime_ns))
        is_hidden = (out / path).stat().st_size == status.st_size
    changed = not (out / path).is_file() or (out / path).read_bytes() != (intact / path).read_bytes()
    return path, kind.__name__, changed and not (is_hidden and (out / path).is_file())


@pytest.mark.fault
@pytest.mark.timeout(3600)
def test_random_damage_shows_no_wrong_number_and_loses_nothing_intact(
    finished: Finished, tmp_path: Path
) -> None:
    draw, counts = random.Random(SEED), Counter[str]()
    for case in range(CASES):
        out = Path(shutil.copytree(finished.out, tmp_path / "out"))
        path, kind, is_seen = damage_a_file(draw, finished.out, out)
        name, verify = f"case {case}: {kind} {path}", draw.random() < 0.5
        try:
            is_right = shows_only_true_numbers(numbers("made", out), finished.values)
        except InputError:
            is_right = path.parts[0] in ("plans", "spaces")
            counts["named"] += 1
        assert is_right, name
        todo = start_again(finished, out, verify=verify)
        owners = {path.parts[1].removesuffix(".json")} if path.parts[0] in ("done", "units") else set()
        assert set(todo) <= owners, name
        assert not is_seen or set(todo) == owners, name
        counts["run again" if todo else "nothing lost"] += 1
        shown = numbers("made", out)
        assert shows_only_true_numbers(shown, finished.values), name
        assert len(shown) >= len(finished.values) - len(todo), name
        shutil.rmtree(out)
    print(json.dumps(counts))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tiny.Run:
    """The smallest grid, trained."""
    folder = tmp_path_factory.mktemp("trained")
    space, data = tiny.written(folder), tiny.data(folder)
    return tiny.Run(data, space, folder / "out", serial.run(space, data, folder / "out"))


def commands(found: tiny.Run, out: Path) -> tuple[int, str]:
    """Run `grid.query`, then the space again; return the last exit code and what both printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        query.main(["--space", str(found.space), "--out", str(out), "--csv"])
    code, ran = serial.ended(found.space, found.data, out, "--verify")
    return code, printed.getvalue() + ran


@pytest.mark.fault
@pytest.mark.timeout(7200)
def test_whole_commands_after_random_damage_end_without_traceback_and_with_the_same_numbers(
    trained: tiny.Run, tmp_path: Path
) -> None:
    """A command may end with code 1 where only MLflow's database is damaged, which it then names."""
    draw, true, counts = random.Random(SEED), tiny.numbers(trained.out), Counter[str]()
    for case in range(COMMANDS):
        out = Path(shutil.copytree(trained.out, tmp_path / f"out{case}"))
        path, kind, _ = damage_a_file(draw, trained.out, out)
        code, printed = commands(trained, out)
        name = f"case {case}: {kind} {path}: code {code}\n{printed}"
        assert "Traceback" not in printed, name
        assert code == 0 or (code == 1 and path.name == "mlflow.db" and "damaged" in printed), name
        assert tiny.numbers(out) == true, name
        counts["run again" if "run again:" in printed else "nothing lost"] += 1
        print(case, kind, path, code, flush=True)
        shutil.rmtree(out)
    print(json.dumps(counts))
