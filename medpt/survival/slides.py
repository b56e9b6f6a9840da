"""The valid patches of one whole slide, read through OpenSlide.

A slide is opened once. Candidate boxes without tissue on its thumbnail are never decoded; the others are
decoded once, row by row, so that tiles shared by neighbours come from OpenSlide's cache. Memory is bounded by
the patches that are kept, the cache and one block of the thumbnail, for any size of slide.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import MAX_PIXELS, opencv
from medpt.data.reading import reading
from medpt.errors import InputError
from medpt.survival import patches, tissue
from medpt.survival.patches import MICRONS, PatchOptions

if TYPE_CHECKING:
    from openslide import OpenSlide

Pixels = NDArray[np.uint8]

log = logging.getLogger(__name__)

THUMBNAIL = 16  # pixels of 20x in one of the thumbnail, which is 1.25x
BLOCK = 2048  # pixels of a level in memory at a time while a thumbnail is made, a side
CACHE = 32 << 20  # bytes of decoded tiles: the last row of a slide 30,000 pixels wide
NEARLY = 0.05  # 0.502 microns a pixel is 20x too
CONTRADICTION = 1.4  # between scanners of one magnification, microns differ by up to 1.2
LEVEL_SLACK = 1.01  # a level of downsample 4.0003 serves a wish for 4


@dataclass(frozen=True)
class Patches:
    """The n patches of a slide that are valid except perhaps for their focus, in reading order.

    `extracted` counts the candidates; `refused` says how many of them were background, blank or pen.
    """

    x: NDArray[np.int32]  # (n,) left and top corner, in pixels of the slide's finest level
    y: NDArray[np.int32]
    tissue: NDArray[np.float32]  # (n,) share of tissue in the box
    focus: NDArray[np.float32]  # (n,) medpt.survival.patches.focus
    pixels: Pixels  # (n, size, size, 3) RGB
    extracted: int
    refused: Mapping[str, int]
    note: str = ""  # Slide.note

    def __len__(self) -> int:
        return len(self.x)


class Slide:
    """An open slide, read at 20x; `width` and `height` in pixels of its finest level.

    `scale` is the number of those in one pixel at 20x. `note` says where microns per pixel, which are used,
    contradict the magnification. Raises InputError if the scale is unknown, and for a
    slide that is coarser than 20x.
    """

    def __init__(self, handle: "OpenSlide", name: str) -> None:
        self.handle, self.name = handle, name
        self.width, self.height = handle.dimensions
        self.scale = _scale(handle.properties, name)
        self.note = _contradiction(handle.properties, name)

    def box(self, x: int, y: int, side: int) -> Pixels:
        """Return a box (side, side, 3) at 20x; (x, y) is its left and top corner on the finest level."""
        level = self._level(self.scale)
        length = round(side * self.scale / self.handle.level_downsamples[level])
        pixels = self._read(x, y, level, length, length)
        return pixels if length == side else _shrunk(pixels, side, side)

    def thumbnail(self) -> Pixels:
        """Return the slide, THUMBNAIL times smaller than at 20x, (h, w, 3), read in blocks."""
        wanted = THUMBNAIL * self.scale
        level = self._level(wanted)
        reduction = self.handle.level_downsamples[level]
        width, height = (max(1, round(side / wanted)) for side in (self.width, self.height))
        if width * height > MAX_PIXELS:
            raise InputError(f"{self.name}: {self.width:,}x{self.height:,} pixels are no size of a slide")
        thumbnail = np.empty((height, width, 3), np.uint8)
        step = max(1, int(BLOCK * reduction / wanted))
        for top in range(0, height, step):
            for left in range(0, width, step):
                part = thumbnail[top : top + step, left : left + step]
                rows, columns = part.shape[:2]
                corner = int(left * self.width / width), int(top * self.height / height)
                extent = columns * self.width / width, rows * self.height / height
                block = self._read(*corner, level, *(max(1, round(side / reduction)) for side in extent))
                part[:] = _shrunk(block, columns, rows)
        return thumbnail

    def _level(self, reduction: float) -> int:
        """Return the coarsest level that is not coarser than `reduction`."""
        fine = [n for n, own in enumerate(self.handle.level_downsamples) if own <= reduction * LEVEL_SLACK]
        return fine[-1] if fine else 0

    def _read(self, x: int, y: int, level: int, width: int, height: int) -> Pixels:
        """Return the pixels, white where the slide has none."""
        pixels = np.asarray(self.handle.read_region((x, y), level, (width, height)))
        if pixels[:, :, 3].min() == 255:
            return opencv().cvtColor(pixels, opencv().COLOR_RGBA2RGB)
        return np.where(pixels[:, :, 3:] == 0, np.uint8(255), pixels[:, :, :3])


def _shrunk(pixels: Pixels, width: int, height: int) -> Pixels:
    return opencv().resize(pixels, (width, height), interpolation=opencv().INTER_AREA)


def _magnification(properties: Mapping[str, str]) -> float | None:
    return _positive(properties.get("aperio.AppMag")) or _positive(
        properties.get("openslide.objective-power")
    )


def _contradiction(properties: Mapping[str, str], name: str) -> str:
    """How microns per pixel and magnification contradict each other by more than CONTRADICTION, or ""."""
    microns, power = _positive(properties.get("openslide.mpp-x")), _magnification(properties)
    if microns is None or power is None:
        return ""
    expected = 20 * MICRONS / power
    if max(microns / expected, expected / microns) <= CONTRADICTION:
        return ""
    used = f"{20 * MICRONS / microns:.3g}x is used"
    return f"{name}: {microns:g} microns per pixel are not those of {power:g}x ({expected:g}); {used}"


def _scale(properties: Mapping[str, str], name: str) -> float:
    """Return pixels per pixel at 20x, from microns or magnification; nearly whole numbers are rounded."""
    microns = _positive(properties.get("openslide.mpp-x"))
    power = _magnification(properties)
    if microns is None and power is not None:
        microns = 20 * MICRONS / power
    if microns is None:
        raise InputError(f"{name}: neither microns per pixel nor a magnification; one of them is needed")
    scale = MICRONS / microns
    if scale < 1 - NEARLY:
        raise InputError(
            f"{name}: {microns:g} microns per pixel at the finest level; needs {MICRONS} or less"
        )
    whole = round(scale)
    return float(whole) if abs(scale / whole - 1) <= NEARLY else scale


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


@contextmanager
def open_slide(path: Path) -> Iterator[Slide]:
    """Open a slide; raise InputError if it is missing, no slide or damaged, also while it is read."""
    try:
        import openslide
    except ImportError:
        raise InputError("slides are read by openslide-python and openslide-bin: install both") from None
    with reading(path, "a slide"), openslide.OpenSlide(path) as handle:
        handle.set_cache(openslide.OpenSlideCache(CACHE))
        yield Slide(handle, str(path))


def extract(path: Path, options: PatchOptions, seed: int) -> Patches:
    """Return the patches of a slide that are valid except perhaps for their focus.

    The seed and the file's name draw the candidates. Raises InputError for a slide that cannot be read, is
    coarser than 20x, has no scale, or is smaller than a box.
    """
    with open_slide(path) as slide:
        side = round(options.box * slide.scale)
        corners = patches.candidates(slide.width, slide.height, side, options.candidates, seed, path.name)
        if not len(corners):
            raise InputError(f"{path}: {slide.width}x{slide.height} pixels hold no box of {side}")
        refused: Counter[str] = Counter()
        facts: list[tuple[float, ...]] = []
        images = np.empty(
            (len(corners), options.size, options.size, 3), np.uint8
        )  # untouched takes no memory
        for left, top, share, patch in _valid(slide, corners, side, options.box, refused):
            images[len(facts)] = patches.finish(patch, options)
            facts.append((left, top, share, patches.focus(patch)))
    x, y, held, focus = np.array(facts, np.float64).reshape(-1, 4).T
    return Patches(
        x.astype(np.int32),
        y.astype(np.int32),
        held.astype(np.float32),
        focus.astype(np.float32),
        images[: len(facts)],
        len(corners),
        dict(refused),
        slide.note,
    )


def _valid(
    slide: Slide, corners: NDArray[np.int64], side: int, box: int, refused: Counter[str]
) -> Iterator[tuple[int, int, float, Pixels]]:
    """Yield corner, share of tissue and pixels of each valid box; count the others in `refused`."""
    mask = tissue.tissue_mask(slide.thumbnail())
    across, down = mask.shape[1] / slide.width, mask.shape[0] / slide.height
    for x, y in corners.tolist():
        held = tissue.share(mask, (x * across, y * down, (x + side) * across, (y + side) * down))
        if held < patches.TISSUE:
            refused["background"] += 1
            continue
        patch = slide.box(x, y, box)
        if (reason := patches.fault(patch)) is not None:
            refused[reason] += 1
            continue
        yield x, y, held, patch
