"""Index masks whose palettes contradict each other: a colour that is one class here is another there.

Programs that make a palette for each file often sort its colours by how much they cover, so that the index of
a class changes from file to file. Only indices are read where a card has no `values`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from medpt.data.card import FILE, DatasetCard
from medpt.data.dataset import Record
from medpt.data.reading import reading
from medpt.errors import InputError

SUFFIXES = (".png", ".gif", ".bmp", ".tif", ".tiff")  # formats that have palettes

Colour = tuple[int, ...]


def palette_notes(card: DatasetCard, root: Path, records: Iterable[Record]) -> Iterator[str]:
    """One line where a colour has two indices in the palettes of masks that are read by index."""
    names = dict.fromkeys(record.mask_path for record in records if record.mask_path)
    first: dict[Colour, tuple[int, str]] = {}
    for name in names if not card.values else ():
        for colour, index in _palette(root / name).items():
            known, other = first.setdefault(colour, (index, name))
            if known != index:
                text = f"the colour {list(colour)} is number {index} of its palette, and {known} in {other}"
                remedy = "if colours are classes, write them as `values`"
                yield f"{root / name}: {text}; numbers are read; {remedy} into {FILE}"
                return


def _palette(path: Path) -> dict[Colour, int]:
    """The index of each colour that a palette has once; nothing of a file without one."""
    from PIL import Image

    if not path.name.lower().endswith(SUFFIXES):
        return {}
    try:
        with reading(path, "a mask"), Image.open(path, formats=("PNG", "GIF", "BMP", "TIFF")) as file:
            levels = file.getpalette("RGB") or [] if file.mode == "P" else []
    except InputError:  # which decoding reports
        return {}
    colours = list(zip(levels[::3], levels[1::3], levels[2::3], strict=False))
    counts = Counter(colours)
    return {colour: n for n, colour in enumerate(colours) if counts[colour] == 1}
