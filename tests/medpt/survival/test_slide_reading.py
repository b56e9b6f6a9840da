"""Slides to patches against a loop over the painted pixels, at every magnification, and what no slide is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.errors import InputError
from medpt.phantom.paint import stream
from medpt.phantom.tcga_slides import GLASS, tissue, write_svs
from medpt.survival import patches, slides
from medpt.survival.patches import PatchOptions
from medpt.survival.slides import Slide, extract, open_slide
from medpt.survival.tissue import share, tissue_mask

OPTIONS = PatchOptions(candidates=30, box=64, size=32)
AT_20 = "AppMag = 20|MPP = 0.5020"
JPEG = 6  # grey levels that a pixel of smooth colour may be off, after compression


def painted(seed: int = 0, side: int = 448, grain: int = 112) -> NDArray[np.uint8]:
    return tissue(stream(seed, "test"), side, grain, 0.4, 0.2)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "TCGA-02-0001-01Z-00-DX1.svs"
    write_svs(path, painted(), AT_20)
    return path


def ramp(side: int = 512) -> NDArray[np.uint8]:
    """Every place has a colour of its own, smooth enough for JPEG."""
    y, x = np.mgrid[:side, :side] * 200 // side + 30
    return np.stack([x, y, (x + y) // 2], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("facts", "scale"),
    [
        (AT_20, 1.0),
        ("AppMag = 40|MPP = 0.2527", 2.0),
        ("AppMag = 40", 2.0),
        ("AppMag = 20", 1.0),
        ("AppMag = 20|MPP = 0.2500", 2.0),  # microns a pixel before the magnification
        ("AppMag = 30", 1.5),
        ("AppMag = 20|MPP = 0.0000", 1.0),
    ],
)
def test_box_is_at_20x_whatever_the_scanner(tmp_path: Path, facts: str, scale: float) -> None:
    pixels = ramp()
    write_svs(tmp_path / "a.svs", pixels, facts)
    with open_slide(tmp_path / "a.svs") as found:
        assert found.scale == scale
        box = found.box(96, 128, 64)
    length = round(64 * scale)
    part = pixels[128 : 128 + length, 96 : 96 + length]
    assert box.shape == (64, 64, 3)
    expected = opencv().resize(part, (64, 64), interpolation=opencv().INTER_AREA)
    assert np.abs(box.astype(int) - expected).max() <= JPEG


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ("Filename = 7", "neither microns per pixel nor a magnification"),
        ("AppMag = 10|MPP = 1.0000", "1 microns per pixel at the finest level; needs 0.5 or less"),
        ("AppMag = 10", "1 microns per pixel"),
        ("AppMag = many", "neither microns"),
    ],
)
def test_slide_without_20x_is_refused(tmp_path: Path, facts: str, words: str) -> None:
    write_svs(tmp_path / "a.svs", ramp(256), facts)
    with pytest.raises(InputError, match=words):
        extract(tmp_path / "a.svs", OPTIONS, 0)


def test_level_read_is_the_coarsest_that_is_fine_enough(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", ramp(), "AppMag = 40|MPP = 0.2500", reduced=(2, 4, 16))
    with open_slide(tmp_path / "a.svs") as found, reads(found) as levels:
        assert np.abs(found.box(0, 0, 64).astype(int) - ramp()[:128:2, :128:2]).max() <= JPEG
        assert levels == [(1, (64, 64))]
        assert found.thumbnail().shape == (16, 16, 3)  # 32 times smaller
        assert levels[1:] == [(3, (32, 32))]


def test_level_a_little_coarser_than_wished_for_serves(tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", ramp(1000)[:500], AT_20, reduced=(4, 16))
    with open_slide(tmp_path / "a.svs") as found, reads(found) as levels:
        assert found.handle.level_downsamples[2] > 16
        found.thumbnail()
        assert [level for level, _ in levels] == [2]


@contextmanager
def reads(found: Slide) -> Iterator[list[tuple[int, tuple[int, int]]]]:
    """(level, size) of every region that is decoded."""
    seen = []
    original = found.handle.read_region

    def read(location: Any, level: int, size: Any) -> Any:
        seen.append((level, tuple(size)))
        return original(location, level, size)

    found.handle.read_region = read  # type: ignore[method-assign]
    yield seen


@pytest.mark.parametrize("reduced", [(), (4,), (3, 16)])
def test_thumbnail_in_blocks_is_that_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reduced: tuple[int, ...]
) -> None:
    monkeypatch.setattr(slides, "BLOCK", 100)
    pixels = ramp(500)[:333]
    write_svs(tmp_path / "a.svs", pixels, AT_20, reduced)
    with open_slide(tmp_path / "a.svs") as found, reads(found) as levels:
        thumbnail = found.thumbnail()
    whole = opencv().resize(pixels, (31, 21), interpolation=opencv().INTER_AREA)
    assert thumbnail.shape == whole.shape
    assert np.abs(thumbnail.astype(int) - whole).max() <= 12  # blocks begin at whole pixels
    assert len(levels) > 1 or 16 in reduced
    assert max(max(size) for _, size in levels) <= 120


def slow_patches(pixels: NDArray[np.uint8], name: str) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """All candidates by a loop over the painted pixels, at 20x."""
    small = opencv().resize(pixels, None, fx=1 / 16, fy=1 / 16, interpolation=opencv().INTER_AREA)
    mask = tissue_mask(small)
    found = []
    for x, y in patches.candidates(pixels.shape[1], pixels.shape[0], 64, 30, 3, name):
        box = pixels[y : y + 64, x : x + 64]
        held = share(mask, (x / 16, y / 16, (x + 64) / 16, (y + 64) / 16))
        if held >= 0.5 and box.mean(axis=2).std() >= 10 and patches.pen_share(box) <= 0.05:
            found.append((int(x), int(y), box))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_patches_are_those_of_a_loop_over_pixels(tmp_path: Path, seed: int) -> None:
    pixels = painted(seed)
    pixels[100:420, 200:212] = (25, 60, 215)  # pen, on tissue
    write_svs(tmp_path / "a.svs", pixels, AT_20)
    found = extract(tmp_path / "a.svs", OPTIONS, 3)
    slow = slow_patches(pixels, "a.svs")
    assert 5 < len(slow) < 25
    assert [(x, y) for x, y, _ in slow] == list(zip(found.x.tolist(), found.y.tolist(), strict=True))
    assert found.extracted == 30 == len(found) + sum(found.refused.values())
    assert found.refused["pen"] > 0 < found.refused["background"]
    for n, (_, _, box) in enumerate(slow):
        assert np.abs(patches.finish(box, OPTIONS).astype(int) - found.pixels[n]).mean() < 3
        assert found.focus[n] == pytest.approx(patches.focus(box), rel=0.25)
        assert found.tissue[n] >= 0.5


def test_slide_at_40x_has_the_patches_of_20x(tmp_path: Path) -> None:
    pixels = painted()
    large = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    for name, content, facts in (("20", pixels, AT_20), ("40", large, "AppMag = 40|MPP = 0.2510")):
        (tmp_path / name).mkdir()
        write_svs(tmp_path / name / "a.svs", content, facts)
    small, great = (extract(tmp_path / name / "a.svs", OPTIONS, 0) for name in ("20", "40"))
    assert len(small) > 5
    assert np.array_equal(great.x, 2 * small.x)
    assert np.array_equal(great.y, 2 * small.y)
    assert np.abs(great.pixels.astype(int) - small.pixels).mean() < 3


def test_no_patch_is_decoded_twice_and_no_background_at_all(
    slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[tuple[int, int]] = []
    original = Slide.box

    def box(self: Slide, x: int, y: int, side: int) -> NDArray[np.uint8]:
        boxes.append((y, x))
        return original(self, x, y, side)

    monkeypatch.setattr(Slide, "box", box)
    found = extract(slide, OPTIONS, 0)
    assert found.refused["background"] > 5
    assert len(boxes) == found.extracted - found.refused["background"]
    assert boxes == sorted(set(boxes))


def test_seeds_and_names_draw_and_folders_do_not(slide: Path, tmp_path: Path) -> None:
    options = PatchOptions(candidates=12, box=64, size=32)
    first = extract(slide, options, 0)
    moved = tmp_path / "elsewhere" / slide.name
    moved.parent.mkdir()
    slide.rename(moved)
    again = extract(moved, options, 0)
    for name in ("x", "y", "tissue", "focus", "pixels"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(extract(moved, options, 1).x, first.x)


def test_pixels_outside_the_slide_are_glass(slide: Path) -> None:
    with open_slide(slide) as found:
        corner = found.box(400, 400, 96)
    assert (corner[60:, 60:] == 255).all()
    assert abs(corner[:40, :40].astype(int) - GLASS).max() < 10


def test_input_that_is_no_slide_is_reported(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.svs: .*(No such file|not a slide that can be read)"):
        extract(tmp_path / "none.svs", OPTIONS, 0)
    (tmp_path / "text.svs").write_text("a slide")
    with pytest.raises(InputError, match=r"text\.svs: not a slide that can be read"):
        extract(tmp_path / "text.svs", OPTIONS, 0)
    with pytest.raises(InputError, match="448x448 pixels hold no box of 512"):
        extract(slide, PatchOptions(), 0)
    glass = np.full((256, 256, 3), GLASS, np.uint8)
    write_svs(tmp_path / "glass.svs", glass, AT_20)
    empty = extract(tmp_path / "glass.svs", OPTIONS, 0)
    assert (len(empty), empty.extracted, empty.refused) == (0, 16, {"background": 16})
    assert empty.pixels.shape == (0, 32, 32, 3)


def test_slide_that_is_cut_or_damaged_inside_is_refused(slide: Path) -> None:
    content = slide.read_bytes()
    slide.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a slide that can be read"):
        extract(slide, OPTIONS, 0)
    broken = bytearray(content)
    start = content.index(b"\xff\xd8", 1000)
    broken[start : start + 20_000] = bytes(20_000)
    slide.write_bytes(broken)
    with pytest.raises(InputError, match="not a slide that can be read"):
        extract(slide, OPTIONS, 0)


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ("AppMag = 40|MPP = 0.5020", "0.502 microns per pixel are not those of 40x (0.25); 19.9x is used"),
        ("AppMag = 20|MPP = 0.2500", "0.25 microns per pixel are not those of 20x (0.5); 40x is used"),
        ("AppMag = 20|MPP = 0.4600", ""),
        ("AppMag = 40|MPP = 0.2300", ""),
        ("AppMag = 40", ""),
    ],
)
def test_microns_that_contradict_the_magnification_are_named(facts: str, note: str, tmp_path: Path) -> None:
    write_svs(tmp_path / "a.svs", ramp(), facts)
    with open_slide(tmp_path / "a.svs") as found:
        assert found.note == (f"{tmp_path}/a.svs: {note}" if note else "")


def test_slide_of_no_size_is_refused_before_memory_is_taken(slide: Path) -> None:
    with open_slide(slide) as found:
        found.width = found.height = 2**31
        with pytest.raises(InputError, match=r"2,147,483,648x2,147,483,648 pixels are no size of a slide"):
            found.thumbnail()


@pytest.mark.parametrize("error", [ValueError("x"), RuntimeError("x"), OSError(5, "x"), KeyError("x")])
def test_whatever_openslide_raises_names_the_slide(
    error: Exception, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("openslide.OpenSlide.read_region", fail)
    with pytest.raises(InputError, match=r"TCGA-02-0001-01Z-00-DX1\.svs: not a slide that can be read"):
        extract(slide, OPTIONS, 0)
