"""The files of STARE, from which diagnoses and vessels are read: photographs as `im0001.ppm` or `.ppm.gz`.

The publisher's archives have no folders inside and share names: im0001.ppm of all-images.zip and
im0001.ppm.gz of stare-images.tar show one eye. They are distinguished by the folders that they were unpacked
into: the photographs of all-images lie in the folder that holds most.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import read_image
from medpt.data.file_tree import walk
from medpt.data.reading import gunzip
from medpt.errors import InputError

MAX_FILE = 2**28  # bytes of a decompressed photograph; the published ones have 1.3 MB
PHOTOGRAPH = re.compile(r"(im\d{4})\.ppm(?:\.gz)?", re.IGNORECASE)


def photographs(top: Path) -> list[dict[str, str]]:
    """Of each folder id to path relative to `top`, the largest folder first; .ppm goes before .ppm.gz."""
    found: dict[str, dict[str, str]] = {}
    for entry in walk(top):
        match = PHOTOGRAPH.fullmatch(entry.name)
        if match:
            path = Path(entry.path).relative_to(top)
            found.setdefault(path.parent.as_posix(), {}).setdefault(match[1].lower(), path.as_posix())
    return sorted(found.values(), key=len, reverse=True)


def read(path: Path) -> NDArray[np.uint8]:
    """As `read_image`, also of a .gz. Raises InputError naming the file."""
    if path.suffix.lower() != ".gz":
        return read_image(path)
    try:
        return read_image(gunzip(path, MAX_FILE))
    except InputError as error:
        raise InputError(text.replace("<bytes>", str(path)) for text in error.problems) from None
