"""`python deploy/gpus.py N` on the head: asks Ray's autoscaler for N GPUs and waits until they have joined.

A run given `--gpus N` asks by its units that wait; this has the machines there before it starts, and shows
whether they come. The request stays until another replaces it: `python deploy/gpus.py 0` leaves it to the
running work how many machines are kept. Exit code 1 where they have not come in time (spot machines may not).
"""

import argparse
import sys
import time
from collections.abc import Callable

PERIOD = 15.0  # seconds between looks


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    import ray
    from ray.autoscaler.sdk import request_resources

    ray.init(address="auto", log_to_driver=False)
    request_resources(bundles=[{"GPU": 1}] * options.gpus)
    return wait(options.gpus, options.minutes * 60, lambda: ray.cluster_resources().get("GPU", 0))


def wait(
    wanted: int,
    seconds: float,
    there: Callable[[], float],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """0 once `there` says that `wanted` GPUs have joined, 1 when `seconds` are over."""
    until = clock() + seconds
    while (found := there()) < wanted:
        print(f"{found:.0f} of {wanted} GPUs", flush=True)
        if clock() > until:
            print(f"the others have not come in {seconds / 60:.0f} minutes; `ray status` says why")
            return 1
        sleep(PERIOD)
    print(f"{found:.0f} GPUs are here")
    return 0


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python deploy/gpus.py", description="Asks for GPUs and waits.")
    result.add_argument("gpus", type=int, metavar="N", help="GPUs in all; 0: none beyond what work asks for")
    result.add_argument("--minutes", type=float, default=20.0, help="to wait; default 20")
    return result


if __name__ == "__main__":
    sys.exit(main())
