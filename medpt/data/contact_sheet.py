"""A contact sheet of a dataset: thumbnails of a few images of each class, with masks drawn over them.

A person sees a wrong mask, a wrong class or an inverted X-ray at once, which no count shows.
"""

import base64
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.data.decode import opencv
from medpt.errors import InputError
from medpt.files import write_bytes
from medpt.grouping import grouped

SUFFIXES = (".png", ".html", ".htm")
TILES, COLUMNS = 36, 6
MOST_NAMED = 10  # classes in the legend, one for each colour
SIDE, MARGIN, LINE = 192, 8, 16  # pixels: of a tile, around it, and a line of its caption
OPACITY = 0.5  # of a mask over its image
DARKEST, BRIGHTEST = 1, 99  # percentiles that become black and white where an image is no picture
COLOURS = (  # of the classes from 1 on; bright, as organs and photographs are not
    *((0, 230, 90), (0, 170, 255), (255, 220, 0), (255, 60, 200), (255, 120, 0)),
    *((150, 90, 255), (0, 220, 220), (180, 220, 60), (230, 60, 60), (200, 200, 200)),
)
UNLABELLED = (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """A thumbnail, uint8 (SIDE, SIDE, 3), with the lines below it."""

    pixels: NDArray[np.uint8]
    caption: tuple[str, ...]


def write_preview(dataset: Dataset, path: Path) -> None:
    """Write a contact sheet as PNG or HTML.

    Raises InputError for another suffix, and where no image can be read.
    """
    check_suffix(path)
    tiles = list(_tiles(dataset))
    if not tiles:
        raise InputError(f"{path}: no image of {dataset.info.name} can be read")
    legend = dataset.info.classes[1 : MOST_NAMED + 1] if dataset.info.task == "segmentation" else ()
    content = _png(tiles, legend) if path.suffix.lower() == ".png" else _page(dataset, tiles, legend).encode()
    try:
        write_bytes(path, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def check_suffix(path: Path) -> None:
    """Raise InputError for a name that is neither a PNG nor an HTML file."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a preview of that suffix; accepted: {', '.join(SUFFIXES)}")


def choose(dataset: Dataset, most: int = TILES) -> list[Record]:
    """Return up to `most` records: of each split and class in turn, spread evenly over its records."""
    groups = grouped(dataset, lambda record: (record.split, record.label))
    spread = [_spread(group, -(-most // len(groups))) for group in groups.values()]
    rounds = [record for row in zip_longest(*spread) for record in row if record is not None]
    return rounds[:most]


def _spread(records: list[Record], most: int) -> list[Record]:
    count = min(most, len(records))
    return [records[n * len(records) // count] for n in range(count)]


def _tiles(dataset: Dataset) -> Iterator[Tile]:
    """Tiles of the chosen records; `check` names those that cannot be read."""
    for record in choose(dataset):
        try:
            yield _tile(dataset, record)
        except InputError:
            continue


def _tile(dataset: Dataset, record: Record) -> Tile:
    cv2, image = opencv(), _shown(dataset.image(record))
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    if record.mask_path:
        mask = cv2.resize(dataset.mask(record), size, interpolation=cv2.INTER_NEAREST)
        small = overlay(small, mask)
    tile = np.full((SIDE, SIDE, 3), 32, np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return Tile(tile, tuple(filter(None, (_label(dataset, record), record.id))))


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `image` (H, W, 3) with the classes of `mask` (H, W) in COLOURS; 0 stays as it is."""
    drawn = image.astype(np.float32)
    for number in np.unique(mask[mask > 0]):
        colour = UNLABELLED if number == IGNORE else COLOURS[(int(number) - 1) % len(COLOURS)]
        at = mask == number
        drawn[at] = (1 - OPACITY) * drawn[at] + OPACITY * np.array(colour, np.float32)
    return drawn.round().astype(np.uint8)


def _shown(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image as uint8 (H, W, 3); of Hounsfield units and MRI between two percentiles."""
    if image.dtype != np.uint8:
        low, high = np.percentile(image, (DARKEST, BRIGHTEST))
        image = np.clip((image - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    return np.stack([image] * 3, axis=-1) if image.ndim == 2 else image


def _label(dataset: Dataset, record: Record) -> str:
    classes, label = dataset.info.classes, record.label
    if isinstance(label, tuple):
        name = (
            ", ".join(name for name, value in zip(classes, label, strict=False) if value == 1) or "no finding"
        )
    else:
        name = classes[label] if label is not None and label in range(len(classes)) else ""
    return ": ".join(filter(None, (record.split or "", name)))


def _png(tiles: Sequence[Tile], legend: Sequence[str]) -> bytes:
    from PIL import Image, ImageDraw

    columns, step = min(COLUMNS, len(tiles)), SIDE + MARGIN
    rows = -(-len(tiles) // columns)
    height = rows * (step + 2 * LINE) + MARGIN + (LINE + MARGIN) * bool(legend)
    sheet = Image.new("RGB", (columns * step + MARGIN, height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        left, top = number % columns * step + MARGIN, number // columns * (step + 2 * LINE) + MARGIN
        sheet.paste(Image.fromarray(tile.pixels), (left, top))
        for line, text in enumerate(tile.caption):
            draw.text((left, top + SIDE + line * LINE), _fitting(draw, text), fill="black")
    left = MARGIN
    for number, name in enumerate(legend):
        draw.rectangle((left, height - LINE - MARGIN, left + LINE, height - MARGIN), fill=COLOURS[number])
        draw.text((left + LINE + MARGIN, height - LINE - MARGIN), _fitting(draw, name), fill="black")
        left += LINE + 3 * MARGIN + round(draw.textlength(_fitting(draw, name)))
    return _encoded(sheet)


def _fitting(draw: Any, text: str) -> str:
    """The end of a text that fits below a tile, in letters that the built-in font has."""
    text = text.encode("latin-1", "replace").decode("latin-1")
    while draw.textlength(text) > SIDE:
        text = f"...{text[4:]}" if text.startswith("...") else f"...{text[3:]}"
    return text


def _encoded(image: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _page(dataset: Dataset, tiles: Sequence[Tile], legend: Sequence[str]) -> str:
    from PIL import Image

    name, figures = html.escape(dataset.info.name), list[str]()
    for tile in tiles:
        data = base64.b64encode(_encoded(Image.fromarray(tile.pixels))).decode()
        caption = f"<figcaption>{'<br>'.join(map(html.escape, tile.caption))}</figcaption>"
        figures.append(f'<figure><img alt="" src="data:image/png;base64,{data}">{caption}</figure>')
    marks = "".join(
        f'<span style="color: rgb{COLOURS[n]}">&#9632;</span> {html.escape(text)} '
        for n, text in enumerate(legend)
    )
    style = f"figure {{display: inline-block; width: {SIDE}px; margin: 4px; overflow-wrap: anywhere}}"
    head = f'<meta charset="utf-8"><title>{name}</title><style>body {{font: 13px sans-serif}} {style}</style>'
    text = f"<h1>{name}</h1><p>{len(tiles)} of {len(dataset):,} images {marks}</p>"
    return f'<!doctype html><html lang="en">{head}{text}{"".join(figures)}</html>\n'
