"""What a file tells without its pixels, against files of known size and quality."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data.file_facts import describe_file, jpeg_quality

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8))


@pytest.mark.parametrize("quality", [10, 35, 50, 75, 90, 98])
def test_quality_of_a_jpeg_is_the_one_it_was_written_with(quality: int, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", quality=quality)
    limit = 6 if quality < 25 else 1  # entries of coarse tables are cut at 255
    assert abs(jpeg_quality(tmp_path / "a.jpg") - quality) < limit


def test_facts_are_bytes_height_and_width(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.png")
    found = describe_file(tmp_path / "a.png", (20, 30, 3))
    assert found[:3] == ((tmp_path / "a.png").stat().st_size, 20, 30)
    assert np.isnan(found[3])


def test_file_inside_an_archive_and_file_that_is_no_jpeg_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"nothing")
    assert np.isnan(describe_file(tmp_path / "missing.jpg", (2, 3))).tolist() == [True, False, False, True]
    assert np.isnan(jpeg_quality(tmp_path / "b.jpg"))
