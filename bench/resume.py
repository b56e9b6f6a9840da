"""How soon does a command say that nothing is left to do, where a thousand units are finished?

    python -m bench.resume [--units 1000] [--repeats 3]

A space of that many fine-tunings on synthetic data is planned, and every unit of it gets a marker as a run
leaves it, in a folder and in a bucket (moto's S3 server on loopback, a process of its own). `grid.run`
is started over and over: seconds until it says so, its start included. The mark is five. A minute on
two cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.figure import best, limited, show
from grid.plan import datasets
from grid.plan.planner import build_plan
from grid.space.reader import load
from grid.store.store import Store
from medpt import files

MOST = 5.0  # seconds
SENTENCE = "nothing is left to do"
SPACE = """
title: a finished space
phantom: {{seed: 0, train: 4, test: 2, size: 32}}
size: 32
experiments:
  - initialization: [random]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [{seeds}]
"""
SERVER = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.readline()
"""


def fill(space: Path, out: str | Path, count: int) -> None:
    """A marker for every unit of the space."""
    store = Store(out)
    store.create()
    loaded = load(str(space))
    found = datasets.find(loaded, None, store.root, write=True)
    plan = build_plan(loaded, found.fingerprints, {})
    times = {"started": 1.0, "ended": 2.0, "version": 1, "host": "bench", "attempt": 1, "artifacts": {}}

    def mark(digest: str) -> None:
        marker = plan.units[digest].to_json() | times | {"digest": digest, "metrics": {"auc": 0.5}}
        assert store.documents.create(f"done/{digest}.json", files.json_bytes(marker))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(mark, plan.units))
    assert len(store.finished()) == len(plan.units) > count


def told(space: Path, out: str | Path) -> None:
    """Returns once the command has said so; what follows (record, report) is not waited for."""
    command = [sys.executable, "-m", "grid.run", "--space", str(space), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert any(SENTENCE in line for line in process.stdout), "it did not say so"
        process.kill()


@contextmanager
def bucket() -> Iterator[str]:
    import boto3

    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    host, port = process.stdout.readline().split()
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    try:
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bench-bucket")
        yield "s3://bench-bucket/runs"
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as name, bucket() as url:
        os.environ["MEDPT_COPIES"] = f"{name}/copies"
        space = Path(name) / "finished.yaml"
        space.write_text(SPACE.format(seeds=", ".join(map(str, range(options.units)))))
        for place, out in (("a folder", f"{name}/runs"), ("a bucket", url)):
            fill(space, out, options.units)
            seconds = best(partial(told, space, out), options.repeats)
            show(limited(f"{options.units} finished units in {place}", seconds, MOST, "s"))


if __name__ == "__main__":
    main()
