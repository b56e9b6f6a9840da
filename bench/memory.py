"""Preparing large photographs: how much memory at most, against how many there are.

    python -m bench.memory [--images 300 1000 3000] [--side 2000]

An own dataset of so many JPEGs (links to eight synthetic fundus photographs of side x side) is prepared by
`python -m grid.prepare` as a user does it. Twice a second the proportional set sizes of its process and all
descendants, Ray's daemons among them, are added up: memory that processes share counts once. The largest sum
is printed for each number of images, and the rate. Expected: under 4 GiB, and hardly more for more images.
Takes a minute a thousand images on two quiet cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figure import limited, show
from bench.preparation import fundus_file

DRAWN = 8  # photographs that differ
LIMIT = 4.0  # GiB
CARD = """
name: Photographs
modality: fundus
task: classification
classes: [one, other]
images: images
labels: labels.csv
"""


def dataset(folder: Path, drawn: list[Path], count: int) -> Path:
    (folder / "images").mkdir(parents=True)
    lines = ["image,label"]
    for number in range(count):
        os.link(drawn[number % len(drawn)], folder / "images" / f"{number:06d}.jpeg")
        lines.append(f"{number:06d},{('one', 'other')[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "dataset.yaml").write_text(CARD)
    return folder


def peak(command: list[str]) -> tuple[int, int, float]:
    """Bytes at most, processes then, seconds. SystemExit where the command fails."""
    most, processes, start = 0, 0, time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        sizes = [size for pid in family(process.pid) if (size := proportional(pid))]
        if sum(sizes) > most:
            most, processes = sum(sizes), len(sizes)
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return most, processes, time.monotonic() - start


def family(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def proportional(pid: int) -> int:
    """Bytes of a process, shared pages divided by who shares them; 0 where it ended meanwhile."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--side", type=int, default=2000, help="in pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as temporary:
        top = Path(temporary)
        drawn = [top / f"drawn-{number}.jpeg" for number in range(DRAWN)]
        for number, path in enumerate(drawn):
            fundus_file(path, number, options.side)
        for count in options.images:
            folder = dataset(top / f"data-{count}", drawn, count)
            command = [sys.executable, "-m", "grid.prepare", "Photographs", str(folder)]
            most, processes, seconds = peak([*command, "--to", str(top / f"shards-{count}")])
            show(limited(f"prepare {count:,} images of {options.side} px", most / 2**30, LIMIT, "GiB"))
            print(f"{processes} processes; {count / seconds:.1f} images a second", flush=True)


if __name__ == "__main__":
    main()
