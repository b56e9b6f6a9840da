"""Files that are replaced at once, and places where none may be written."""

from pathlib import Path

import pytest

from medpt.errors import InputError
from medpt.files import check_outside, replacing


def test_place_that_takes_no_file_is_named_before_anything_is_written() -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing(Path("/proc/network.pt2")):
        pytest.fail("nothing can be written there")
    assert str(caught.value.filename).startswith("/proc/.tmp-network.pt2")


@pytest.mark.parametrize("below", ["", "masks", "a/../b"])
def test_output_among_what_is_read_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    for folder in ("images", "link"):
        path = tmp_path / folder / below
        with pytest.raises(InputError, match=f"--to {path}: lies in {tmp_path / 'images'}; a place"):
            check_outside("--to", path, [tmp_path / "other", tmp_path / "images"])


def test_output_beside_and_links_to_themselves_are_no_problem(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    check_outside("--to", tmp_path / "images2", [tmp_path / "images", tmp_path / "loop"])
