"""The benchmarks run to their end at tiny sizes and tell ratios; no time is asserted."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.figure import Figure, best
from bench.orchestration import flatness
from bench.preparation import opencv_clahe, peer_chest, peer_fundus
from medpt.data.preprocess import preprocess
from medpt.phantom.chestxray2017 import radiograph
from medpt.phantom.fundus import fundus
from medpt.phantom.paint import stream, to_bytes
from medpt.precision import has_native_bf16

ROOT = Path(__file__).parents[2]
LINE = re.compile(
    r"ours +[\d,.e+-]+ \S+ +peer +[\d,.e+-]+ \S+ +ratio +[\d.]+ +target (>= [\d.]+|-) +(ok|short|-)"
)


def lines(name: str, *arguments: str) -> list[str]:
    """The figures that a benchmark prints."""
    command = [sys.executable, "-m", f"bench.{name}", *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    return [line for line in process.stdout.splitlines() if LINE.search(line)]


@pytest.mark.slow
def test_orchestration() -> None:
    assert len(lines("orchestration", "--units", "3", "--peer-trials", "2")) == 7


@pytest.mark.slow
def test_epoch() -> None:
    assert len(lines("epoch", "--images", "64", "--size", "32", "--epochs", "2")) == 4


@pytest.mark.slow
def test_startup() -> None:
    assert len(lines("startup", "--units", "5", "--repeats", "1")) == 2


def test_flops() -> None:
    found = lines("flops", "--size", "32", "--batch", "2", "--steps", "1", "--side", "64")
    assert len(found) == (2 if has_native_bf16() else 1)


def test_preparation() -> None:
    assert len(lines("preparation", "--images", "1", "--side", "600", "--repeats", "1")) == 10


def test_epoch_refuses_a_last_batch_that_is_not_full() -> None:
    command = [sys.executable, "-m", "bench.epoch", "--images", "65"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "--images 65: accepted: a multiple of 16" in process.stderr


@pytest.mark.parametrize(
    ("unit", "ours", "peer", "ratio"), [("ms", 100, 2000, 20), ("ms", 2000, 100, 0.05), ("img/s", 30, 10, 3)]
)
def test_ratio_above_one_means_that_ours_is_better(unit: str, ours: float, peer: float, ratio: float) -> None:
    assert Figure("it", ours, peer, unit, "peer").ratio == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("ours", "target", "verdict"), [(29, 3, "short"), (30, 3, "ok"), (31, 3, "ok"), (1, None, "-")]
)
def test_verdict_is_of_the_target(ours: float, target: float | None, verdict: str) -> None:
    figure = Figure("it", ours, 10, "img/s", "peer", target)
    assert figure.verdict == verdict
    assert LINE.search(figure.line())


def test_best_of_several_is_the_least() -> None:
    ticks = iter([0, 5, 10, 12, 20, 29])
    assert best(lambda: None, 3, lambda: next(ticks)) == 2


def test_peers_do_the_same_steps() -> None:
    """Same crop and resize: before CLAHE the images are equal but for rounding; so few levels apart after."""
    colour, _, _ = fundus(stream(0, "test"), 300, 340)
    grey = to_bytes(radiograph(stream(0, "test"), 300, 375, True))
    for image, peer, crop in ((colour, peer_fundus, "crop_fundus"), (grey, peer_chest, "crop_xray")):
        ours = preprocess(image, f"{crop}|resize(256)|clahe(2,8)")
        assert np.abs(ours.astype(int) - peer(image)).mean() < 15
        assert np.corrcoef(ours.ravel(), peer(image).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("colour", [True, False])
def test_our_clahe_is_opencvs(colour: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3) if colour else (256, 256), np.uint8)
    assert np.array_equal(preprocess(image, "resize(256)|clahe(2,8)"), opencv_clahe(image))


def test_flatness_is_the_rate_of_the_end_over_that_of_the_beginning() -> None:
    assert flatness(range(101)) == 1
    assert flatness([*range(90), *range(90, 112, 2)]) == pytest.approx(0.5)
