"""Frozen probes of a user's images: masks, findings of the test set, and what it can decide."""

from dataclasses import replace

import own_folders
import pytest

from grid.advise.evidence import ProbeSettings, gather, load_images
from grid.compare.sources import Source
from grid.compare.target import Target, understand

SETTINGS = ProbeSettings("shufflenet_v2", 64, 8)
RANDOM = [Source("random", "the baseline")]


@pytest.fixture(scope="module")
def vessels(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return understand(own_folders.masks(tmp_path_factory.mktemp("eyes") / "mine", 16))


def test_masks_are_probed_by_pixels(vessels: Target) -> None:
    found = gather(vessels, RANDOM, SETTINGS, lambda line: None)
    (probe,) = found.probes
    assert found.metric == "miou"
    assert probe.initialization == "random"
    assert probe.score.low < probe.score.mean < probe.score.high
    assert probe.logme == probe.logme
    assert 0 < found.decidable < 100
    assert found.best == ("random",)


def test_decidable_difference_is_that_of_the_whole_test_set(vessels: Target) -> None:
    """Four times as many test images halve it; those that are looked at stay the same."""
    found, larger = (
        gather(target, RANDOM, SETTINGS, lambda line: None)
        for target in (vessels, replace(vessels, test=4 * vessels.test))
    )
    assert found.decidable == pytest.approx(2 * larger.decidable)


def test_images_are_a_sample_of_each_set(vessels: Target) -> None:
    index = load_images(vessels, replace(SETTINGS, images=2)).index
    assert (len(index.rows("train")), len(index.rows("test"))) == (2, 2)
    assert index.pixels is not None
    assert index.pixels.sum(1).tolist() == [64 * 64] * 4
