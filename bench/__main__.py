"""`python -m bench`: the parts that are raced, beside their peers, each in a process of its own.

Takes 5 minutes on two quiet cores. Exit code 1 where a benchmark failed to run; a figure that is short of its
target is no failure.
"""

import subprocess
import sys
import time

BENCHMARKS = ("preparation", "slides", "epoch", "orchestration", "svcca", "query")


def main() -> int:
    failed = []
    for name in BENCHMARKS:
        start = time.perf_counter()
        print(f"# {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
        print(f"# {name}: {time.perf_counter() - start:.0f} s\n", flush=True)
        if code:
            failed.append(name)
    if failed:
        print(f"did not run to the end: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
