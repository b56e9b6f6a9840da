"""Slides as Aperio's scanners write them: tiled, pyramidal TIFF of JPEG tiles, which OpenSlide opens as SVS.

Tissue is a mosaic of three textures: sparse nuclei, dense nuclei, and none (necrosis); around it is glass.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.phantom.paint import Rng, fractal, grid, smooth
from medpt.phantom.tnbc import tile

Pixels = NDArray[np.uint8]
TILE = 256
QUALITY = 90
JPEG, YCBCR, SUBSAMPLING = 7, 6, 530  # TIFF 6.0: compression, photometric interpretation, tag
CROWDING = (-0.24, 0.1, 1.8)  # of nuclei: none, sparse, dense
GLASS = 245
PEN = (25, 60, 215)


def write_svs(path: Path, pixels: Pixels, facts: str, reduced: tuple[int, ...] = (4,)) -> None:
    """`pixels` (H, W, 3) and a level for each of `reduced`; `facts` such as `AppMag = 20|MPP = 0.5`."""
    import tifffile

    height, width = pixels.shape[:2]
    head = f"Aperio Image Library v10.0.50\r\n{width}x{height} [0,0 {width}x{height}] ({TILE}x{TILE})"
    with tifffile.TiffWriter(path) as file:
        for factor in (1, *reduced):
            level = pixels if factor == 1 else _reduced(pixels, factor)
            note = "" if factor == 1 else f" -> {level.shape[1]}x{level.shape[0]}"
            file.write(
                _tiles(level),
                shape=level.shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="zlib",  # tifffile compresses no JPEG; its tiles are JPEG already, as said below
                photometric="rgb",
                extratags=[(SUBSAMPLING, "H", 2, (1, 1), True)],
                description=f"{head}{note}|{facts}",
                metadata=None,
            )
    with tifffile.TiffFile(path, mode="r+") as written:
        for page in written.pages:
            page.tags["Compression"].overwrite(JPEG)  # type: ignore[union-attr]
            page.tags["PhotometricInterpretation"].overwrite(YCBCR)  # type: ignore[union-attr]


def _tiles(level: Pixels) -> Iterator[bytes]:
    from PIL import Image

    for top in range(0, level.shape[0], TILE):
        for left in range(0, level.shape[1], TILE):
            part = level[top : top + TILE, left : left + TILE]
            whole = np.pad(part, [(0, TILE - part.shape[0]), (0, TILE - part.shape[1]), (0, 0)], mode="edge")
            content = io.BytesIO()
            Image.fromarray(whole).save(content, "JPEG", quality=QUALITY, subsampling=0)
            yield content.getvalue()


def _reduced(pixels: Pixels, factor: int) -> Pixels:
    size = (max(1, pixels.shape[1] // factor), max(1, pixels.shape[0] // factor))
    return opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)


def tissue(rng: Rng, side: int, grain: int, dense: float, necrotic: float) -> Pixels:
    """(side, side, 3) of tissue on glass; `dense` and `necrotic` are shares of the tissue's area.

    A texture repeats after `grain` pixels; its nuclei are 5 to 11 % of that long.
    """
    x, y = grid(side, side)
    edge = 0.75 + 0.1 * fractal(rng, side, side, 3, 3)
    cover = smooth((edge - np.hypot(x, y)) * 40)
    field = fractal(rng, side, side, 3, 2)
    levels = np.quantile(field[cover > 0.5], [necrotic, 1 - dense])
    kinds = np.searchsorted(levels, field)
    textures = np.stack([_texture(rng, side, grain, crowding) for crowding in CROWDING])
    stained = np.take_along_axis(textures, kinds[None, :, :, None], axis=0)[0]
    return np.rint(stained * cover[:, :, None] + GLASS * (1 - cover[:, :, None])).astype(np.uint8)


def _texture(rng: Rng, side: int, grain: int, crowding: float) -> Pixels:
    painted, _ = tile(rng, grain, crowding)
    repeats = -(-side // grain)
    return np.tile(painted, (repeats, repeats, 1))[:side, :side]


def mark(pixels: Pixels) -> None:
    """A stroke of a blue pen down the left sixth, over glass and tissue."""
    side = len(pixels)
    pixels[:, side // 10 : side // 10 + max(2, side // 16)] = PEN
