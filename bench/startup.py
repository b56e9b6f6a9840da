"""How soon does a command answer that has nothing to compute?

    python -m bench.startup [--units 100] [--repeats 5]

`grid.run --help`, and `grid.run` of a space whose units are all finished and have not changed since its last
run: the whole command by the clock, the fastest of --repeats. The markers are written as in bench.resume.
Takes a minute on two quiet cores.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.figure import best, limited, show
from bench.resume import SPACE, fill

HELP, NOTHING = 0.15, 1.5  # seconds at most


def command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "grid.run", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    show(limited("--help", best(partial(command, "--help"), options.repeats), HELP, "s"))
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as name:
        space, out = Path(name) / "finished.yaml", Path(name) / "runs"
        space.write_text(SPACE.format(seeds=", ".join(map(str, range(options.units)))))
        fill(space, out, options.units)
        for marker in (out / "done").glob("*.json"):
            (out / "units" / marker.stem).mkdir(parents=True, exist_ok=True)
        again = partial(command, "--space", str(space), "--out", str(out))
        again()  # writes record, tables and report
        show(limited("run with nothing to do", best(again, options.repeats), NOTHING, "s"))


if __name__ == "__main__":
    main()
