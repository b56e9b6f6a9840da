"""The benchmark of slides runs to its end at a tiny size, and its contenders find the same patches."""

import re
from pathlib import Path

import pytest

from bench.slides import CONTENDERS, alone, write


@pytest.mark.parametrize(("power", "side"), [(20, 2048), (40, 3072)])
def test_contenders_find_the_same_patches(tmp_path: Path, power: int, side: int) -> None:
    path = tmp_path / "slide.svs"
    write(path, side, power)
    found = {name: {(x, y): image for x, y, image in find(path, power)} for name, find in CONTENDERS.items()}
    assert len(found["ours"]) >= 3
    for name in ("twice", "once"):
        assert found[name].keys() == found["ours"].keys()
        assert all((found[name][at] == image).all() for at, image in found["ours"].items())


def test_it_tells_ratios_of_speed_and_memory() -> None:
    printed = alone("--side", "1536", "--repeats", "1")
    assert len(re.findall(r"ratio +[\d.]+", printed)) == 4
    assert re.search(r"(\d+) patches of ours, \1 of the peers', \1 the same", printed)
