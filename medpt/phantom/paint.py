"""What the pictures are painted with: coordinates, noise, soft shapes, and files in the publishers' formats.

Canvases are float32, 0 to 1, grey (H, W) or RGB (H, W, 3); coordinates run from -1 to 1 along the height, and
as far as the aspect ratio along the width, y downward. Colours are RGB, 0 to 1.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.identity import stream_seed

Canvas = NDArray[np.floating[Any]]
Colour = Sequence[float] | NDArray[np.floating[Any]]
Rng = np.random.Generator


def stream(seed: int, *names: str | int) -> Rng:
    """The randomness of one named picture: adding pictures leaves the others as they are."""
    return np.random.default_rng(stream_seed(seed, *names))


def grid(height: int, width: int) -> tuple[Canvas, Canvas]:
    """(x, y) of pixel centres."""
    y = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1) * (width / height)
    return np.broadcast_to(x, (height, width)), np.broadcast_to(y[:, None], (height, width))


def smooth(value: NDArray[np.floating]) -> Canvas:
    """A step from 0 at -1 to 1 at +1 without corners."""
    t = np.clip(value * 0.5 + 0.5, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def ellipse(
    x: Canvas,
    y: Canvas,
    centre: tuple[float, float],
    radii: tuple[float, float],
    soft: float,
    turn: float = 0,
) -> Canvas:
    """1 inside, 0 outside, with an edge `soft` wide in units of the radius; turned by `turn` radians."""
    dx, dy = x - centre[0], y - centre[1]
    c, s = np.cos(turn), np.sin(turn)
    distance = np.hypot((dx * c + dy * s) / radii[0], (dy * c - dx * s) / radii[1])
    return smooth((1 - distance) / soft)


def noise(rng: Rng, height: int, width: int, cells: int) -> Canvas:
    """Smooth noise of about unit variance with `cells` features along the height."""
    columns = max(2, round(cells * width / height))
    coarse = rng.standard_normal((max(2, cells), columns)).astype(np.float32)
    return opencv().resize(coarse, (width, height), interpolation=opencv().INTER_CUBIC)


def fractal(rng: Rng, height: int, width: int, cells: int = 3, octaves: int = 4) -> Canvas:
    """Noise of several scales, each half as strong and twice as fine as the one before."""
    layers = [noise(rng, height, width, cells * 2**n) * 0.5**n for n in range(octaves)]
    return np.sum(layers, axis=0, dtype=np.float32)


def blend(canvas: Canvas, cover: Canvas, colour: Colour) -> Canvas:
    """`colour` (or a canvas of colours) over an RGB canvas where `cover` (H, W) is 1."""
    share = cover[:, :, None]
    return canvas * (1 - share) + np.asarray(colour, np.float32) * share


def tint(colour: Colour, shade: Canvas) -> Canvas:
    """RGB of one colour, brightened by `shade` (H, W) around 0."""
    return np.asarray(colour, np.float32) * (1 + shade[:, :, None])


def shrink(canvas: Canvas, height: int, width: int) -> Canvas:
    return opencv().resize(canvas, (width, height), interpolation=opencv().INTER_AREA)


def to_bytes(canvas: Canvas) -> NDArray[np.uint8]:
    return np.clip(np.rint(canvas * 255), 0, 255).astype(np.uint8)


def save(path: Path, pixels: NDArray[Any], file_format: str, mode: str | None = None) -> None:
    """Writes pixels as JPEG, PNG, TIFF or GIF; `mode` converts first (such as CMYK)."""
    from PIL import Image

    image = Image.fromarray(pixels)
    if mode is not None:
        image = image.convert(mode)
    content = io.BytesIO()
    image.save(content, file_format, **({"quality": 92} if file_format == "JPEG" else {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


def debris(folder: Path, name: str) -> None:
    """What a macOS archive leaves: `__MACOSX/._name`, `._name` beside the file, `.DS_Store`."""
    for path in (folder / "__MACOSX" / f"._{name}", folder / f"._{name}", folder / ".DS_Store"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x00\x05\x16\x07")
