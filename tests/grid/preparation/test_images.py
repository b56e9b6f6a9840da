"""`medpt.data prepare`: killed and run again, and with images that were repaired in between."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from medpt import fault_injection
from medpt.data import shards
from medpt.data.manifest import verify

COUNT = 3 * shards.ROWS + 8
CARD = """
name: Grains
modality: fundus
task: classification
classes: [fine, coarse]
images: images
labels: labels.csv
pipeline: resize(256)|clahe(2,8)
"""


def grains(folder: Path, count: int) -> Path:
    """Write a dataset of `count` images with a card."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["image,label,split"]
    for number in range(count):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03d}.png")
        lines.append(f"{number:03d},{'fine' if number % 2 else 'coarse'},{'test' if number % 5 else 'train'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "dataset.yaml").write_text(CARD)
    return folder


def start(source: Path, to: Path, fault: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "medpt.data", "prepare", "Grains", str(source), "--to", str(to)]
    return subprocess.Popen(
        [*command, "--size", "48"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {fault_injection.VARIABLE: fault},
    )


def kill_all(process: "subprocess.Popen[str]") -> None:
    """Kill Ray's processes as well: they would work on for a moment."""
    started = psutil.Process(process.pid)
    for one in [started, *started.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.communicate()


@pytest.mark.fault
def test_prepare_command_resumes_after_a_kill(tmp_path: Path) -> None:
    source, to = grains(tmp_path / "grains", COUNT), tmp_path / "shards"
    process = start(source, to, f"at:replacing/shard-00002.parquet,do:sleep 600,in:{tmp_path}")
    deadline = time.monotonic() + 120
    while not (to / "shard-00000.json").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    kill_all(process)
    finished = {path.name: path.stat().st_mtime_ns for path in to.glob("shard-*.json")}
    assert finished
    assert not (to / "manifest.json").exists()
    again = start(source, to)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert {name: (to / name).stat().st_mtime_ns for name in finished} == finished
    lines = [line for line in output.splitlines() if "s left" in line]
    assert len(lines) == 4 - len(finished)
    assert lines[-1].startswith(f"{COUNT} of {COUNT} images, ")
    assert lines[-1].endswith(" a second, 0 s left")
    manifest = verify(to)
    assert (manifest.rows, manifest.size, manifest.prepare.split) == (COUNT, 48, "official")
    assert manifest.prepare.pipeline == "resize(48)|clahe(2,8)"


def test_shard_job_prepares_a_repaired_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grid.preparation.images import ShardJob
    from grid.preparation.pipeline import Destination
    from medpt.data import open_dataset
    from medpt.specs import Prepare

    monkeypatch.setattr(shards, "ROWS", 10)
    source = grains(tmp_path / "grains", 24)
    image = source / "images" / "007.png"
    complete = image.read_bytes()
    spec = Prepare("Grains", "f", "resize(8)")

    def prepared() -> ShardJob:
        job = ShardJob("grains", spec, open_dataset("Grains", source), Destination(tmp_path / "to"))
        job.start()
        for item in job.todo():
            number = item["number"]
            path = shards.shard_path(job.folder, number)
            job.done[number] = shards.write(job.dataset, job.chunks[number], spec.pipeline, path)
        return job

    image.write_bytes(complete[:50])
    with pytest.raises(ValueError, match=r"Grains: images/007\.png: .*[Tt]runcated"):
        prepared().write_manifest()
    image.write_bytes(complete)
    assert prepared().write_manifest().rows == 24
