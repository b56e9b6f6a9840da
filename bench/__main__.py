"""All benchmarks of docs/performance.md in one run: one table, and how it differs from the recorded ratios.

    python -m bench [--only NAME ...] [--record]

Each benchmark is a process of its own, whose lines are printed as they come. At the end stands one Markdown
table, then every ratio that is less than 0.8 of the one in `bench/ratios.json`. Times depend on the machine;
ratios hold elsewhere as far as both sides use the machine alike. `--record` writes that file anew. Takes 15
minutes on two quiet cores. Exit code 1 where a benchmark failed to run; a figure that is short of its target
or of its recorded ratio is no failure.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import RECORD, Figure, number

COMMANDS = (
    "startup",
    "resume",
    "orchestration --units 200",
    "preparation",
    "slides",
    "memory --images 300 1000",
    "epoch",
    "tuned",
    "threads",
    "flops",
    "frozen --precision fp32",
    "frozen",
    "svcca",
    "query --repeats 1",
)
RATIOS = Path(__file__).with_name("ratios.json")
LOWER = 0.8  # of the recorded ratio: what is named

Measured = list[tuple[str, Figure]]  # the command, without `python -m bench.`, and one of its figures


def run(command: str) -> tuple[int, Measured]:
    """Return the exit code of a benchmark and its figures."""
    name, *arguments = shlex.split(command)
    with tempfile.NamedTemporaryFile(prefix="medpt-bench-") as record:
        process = [sys.executable, "-m", f"bench.{name}", *arguments]
        code = subprocess.run(process, env=os.environ | {RECORD: record.name}, check=False).returncode
        lines = Path(record.name).read_text(encoding="utf-8").splitlines()
    return code, [(command, Figure(**json.loads(line))) for line in lines]


def table(measured: Measured) -> str:
    """Return Markdown, a row for each figure."""
    rows = [
        "| figure | command | ours | peer | ratio | target |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    last = ""
    for command, figure in measured:
        peer = f"{figure.against}, {number(figure.peer)} {figure.unit}"
        target = "-" if figure.target is None else f"{figure.target:g}"
        target += ", short" if figure.verdict == "short" else ""
        words = "same" if command == last else f"`bench.{command}`"
        ours = f"{number(figure.ours)} {figure.unit}"
        rows.append(f"| {figure.name} | {words} | {ours} | {peer} | {figure.ratio:.3g} | {target} |")
        last = command
    return "\n".join(rows)


def ratios(measured: Measured) -> dict[str, float]:
    """Return the ratio of each figure by command, name and peer."""
    return {f"{command}: {f.name}: {f.against}": round(f.ratio, 4) for command, f in measured}


def lower(found: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio that is less than LOWER of its recorded one."""
    return [
        f"{name}: {found[name]:.3g}, recorded {before:.3g}"
        for name, before in recorded.items()
        if name in found and found[name] < LOWER * before
    ]


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(dict.fromkeys(command.split()[0] for command in COMMANDS))
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--record", action="store_true", help=f"write the ratios to bench/{RATIOS.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    failed, measured = [], Measured()
    for command in (command for command in COMMANDS if command.split()[0] in options.only):
        start = time.perf_counter()
        print(f"# {command}", flush=True)
        code, figures = run(command)
        print(f"# {command}: {time.perf_counter() - start:.0f} s\n", flush=True)
        failed += [command] if code else []
        measured += figures
    print(table(measured))
    recorded = json.loads(RATIOS.read_text(encoding="utf-8"))
    for line in lower(ratios(measured), recorded["ratios"]):
        print(f"lower than on {recorded['date']}: {line}")
    if options.record:
        entry = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "ratios": recorded["ratios"] | ratios(measured)}
        RATIOS.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    if failed:
        print(f"did not run to the end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
