"""STARE: photographs and diagnosis codes of all-images.zip, vessels of the two tars, as gzipped PPM.

Traps: names that both archives use, two codes of one image, a code above 14, an id without an image, an image
without a code, the second observer's files beside the first's.
"""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.phantom.fundus import (
    DARK,
    RED,
    RETINOPATHY,
    WHITE,
    YELLOW,
    Spots,
    binary,
    develop,
    paint_spots,
    photograph,
)
from medpt.phantom.paint import debris, stream

GREY = (0.45, 0.42, 0.3)
DIAGNOSES: tuple[tuple[Spots, ...], ...] = (  # by code
    (),
    (Spots(5, 0.04, YELLOW, (1, 0), 0.2),),
    (Spots(3, 0.3, WHITE, (0.3, -0.45), 0.1),),
    (Spots(2, 0.2, WHITE, (0.6, 0), 0.05),),
    (Spots(40, 0.05, DARK, (0.4, -0.5), 0.2),),
    (Spots(90, 0.05, DARK, (0.5, 0), 0.5),),
    (Spots(40, 0.05, DARK, (0.4, 0.5), 0.2),),
    RETINOPATHY[2],
    RETINOPATHY[4],
    (Spots(30, 0.02, YELLOW, (0.8, 0), 0.3),),
    (Spots(8, 0.08, WHITE, (0.6, 0), 0.35),),
    (Spots(3, 0.35, YELLOW, (-0.4, 0.2), 0.2),),
    (Spots(1, 0.14, RED, (0.3, 0.3), 0.1), Spots(20, 0.03, YELLOW, (0.3, 0.3), 0.2)),
    (Spots(2, 0.22, GREY, (0, 0), 0.05), Spots(4, 0.06, DARK, (0, 0), 0.15)),
    (Spots(2, 0.25, (0.1, 0.05, 0.05), (-0.2, -0.4), 0.2),),
)
SECOND_CODE = {3: 10, 11: 14}  # by the image's number modulo 15
BEYOND, SILENT = 16, 7  # numbers of the image whose code is above 14, and of the one that has none


def write(folder: Path, seed: int, train: int = 75, test: int = 0, size: int = 96) -> None:
    """`train` + `test` photographs of size x 1.16 size, the first quarter (two or more) with vessels."""
    count = train + test
    lines: list[str] = []
    for n in range(1, count + 1):
        code = (n - 1) % len(DIAGNOSES)
        rng = stream(seed, "STARE", n)
        eye = photograph(rng, size, round(size * 1.157))
        paint_spots(rng, eye, DIAGNOSES[code])
        pixels = develop(rng, eye)
        _write(folder / "all-images" / f"im{n:04d}.ppm", pixels)
        if n <= max(2, count // 4):
            _vessels(folder, n, pixels, eye.vessels)
        lines += _line(n, code)
    lines.append("im9999\t5\tCentral Retinal Vein Occlusion")
    (folder / "all-mg-codes.txt").write_text("\n".join(lines) + "\n")
    debris(folder / "stare-images", "im0001.ppm.gz")


def _vessels(folder: Path, n: int, pixels: NDArray[np.uint8], cover: NDArray[np.floating]) -> None:
    _write(folder / "stare-images" / f"im{n:04d}.ppm.gz", pixels)
    for observer, least in (("ah", 0.5), ("vk", 0.2)):
        drawn = binary(cover > least)[:, :, None].repeat(3, axis=2)
        _write(folder / f"labels-{observer}" / f"im{n:04d}.{observer}.ppm.gz", drawn)


def _line(n: int, code: int) -> Iterator[str]:
    if n != SILENT:
        second = f" {SECOND_CODE[n % 15]}" if n % 15 in SECOND_CODE else ""
        yield f"im{n:04d}\t{15 if n == BEYOND else code}{second}\tas the code says"


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PPM")
    data = content.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
