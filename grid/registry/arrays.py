"""What the arrays of a shared file may hold: their names, types, shapes and values."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from medpt.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

LARGEST = 2**30  # bytes of a file, and of the arrays that it unpacks to
LONGEST = 100  # characters of a text; longer ones and paths are refused
FLOAT32, FLOAT64, WHOLE, BYTES, FLAGS, TEXT = "float32", "float64", "int64", "uint8", "bool", "text"
ROUNDING = 1e-6  # of float32 between 0 and 1
NUMBERED = (("labels", "K"), ("patients", "N"))  # below the length of an axis
OTHERS = "*"  # stands for every array that is not named


@dataclass(frozen=True)
class Layout:
    """One array: its type, or types with `or` between them; its axes; the range of its values.

    `axes` has a digit for an axis of that length and a letter for any other; in one file an axis of the same
    letter has the same length, at least 1.
    """

    types: str
    axes: str
    low: float = -inf
    high: float = inf
    may_be_nan: bool = False
    is_needed: bool = True

    def problems(self, name: str, values: "NDArray[Any]", lengths: dict[str, int]) -> Iterator[str]:
        """Yield what is wrong with an array; `lengths` has those of the axes before, and gets its own."""
        if (found := _type_of(values)) not in self.types.split(" or "):
            yield f"`{name}` of type {found}; {self.types} is accepted"
        elif not self._fits(values.shape, lengths):
            axes = ", ".join(f"{axis} = {lengths[axis]}" if axis in lengths else axis for axis in self.axes)
            yield f"`{name}` of shape {values.shape}; ({axes}) of at least 1 each is accepted"
        elif self.types == TEXT:
            for text in values.ravel().tolist():
                check_text(text)
        elif not self._in_range(values):
            accepted = "finite numbers" if self.low == -inf else f"numbers of {self.low:g} to {self.high:g}"
            yield f"`{name}` with values that are not accepted: {accepted} are"

    def _fits(self, shape: tuple[int, ...], lengths: dict[str, int]) -> bool:
        if len(shape) != len(self.axes):
            return False
        wanted = (
            int(axis) if axis.isdigit() else lengths.setdefault(axis, max(length, 1))
            for axis, length in zip(self.axes, shape, strict=True)
        )
        return shape == tuple(wanted)

    def _in_range(self, values: "NDArray[Any]") -> bool:
        import numpy as np

        known = values[~np.isnan(values)] if self.may_be_nan and values.dtype.kind == "f" else values
        return bool((np.isfinite(known) & (known >= self.low) & (known <= self.high)).all())


def _type_of(values: "NDArray[Any]") -> str:
    if values.dtype.kind == "U":
        return TEXT
    return values.dtype.name if values.dtype.isnative else f"{values.dtype.name} in another order of bytes"


SCORES = Layout(FLOAT32, "NK", low=-ROUNDING, high=1 + ROUNDING)
PATIENTS = Layout(WHOLE, "N", low=0, is_needed=False)
CLASSES = {"scores": SCORES, "labels": Layout(WHOLE, "N", low=0)}
FINDINGS = {
    "scores": SCORES,
    "labels": Layout(FLOAT32, "NK", low=0, high=1, may_be_nan=True),
}
MASKS = {"confusions": Layout(WHOLE, "NKK", low=0)}
SURVIVAL = {
    "time": Layout(FLOAT64, "N", low=0),
    "event": Layout(FLAGS, "N"),
    "risk": Layout(f"{FLOAT32} or {FLOAT64}", "N"),
    "trained": Layout(WHOLE, "", low=1),
    "weight": Layout(FLOAT64, "N", low=0, is_needed=False),
    "error": Layout(FLOAT64, "N", may_be_nan=True, is_needed=False),
}
SVCCA = {name: Layout(WHOLE, "L", low=1) for name in ("rows", "channels")}
SVCCA |= {
    name: Layout(FLOAT64, "L", low=-1 - ROUNDING, high=1 + ROUNDING, may_be_nan=True)
    for name in ("similarity", "floor", "weights")
}
SVCCA |= {
    "layers": Layout(TEXT, "L"),
    "similarity_std": Layout(FLOAT64, "L", low=0, may_be_nan=True, is_needed=False),
}
FILTERS = {when: Layout(FLOAT64, "m3kk") for when in ("before", "after")}
FILTERS |= {f"{when} gabor": Layout(FLOAT64, "m", low=0, high=1) for when in ("before", "after")}
FILTERS |= {f"{when} panel": Layout(BYTES, f"{when[0]}W3") for when in ("before", "after", "difference")}
LAYOUTS: dict[str, tuple[dict[str, Layout], ...]] = {  # by file; one of several
    "items.npz": (*(one | {"patients": PATIENTS} for one in (CLASSES, FINDINGS, MASKS)), SURVIVAL),
    "svcca.npz": (SVCCA,),
    "filters.npz": (FILTERS,),
    "coordinates.npz": (
        {
            "images": Layout(WHOLE, "", low=1),
            "mean colour": Layout(FLOAT64, "st3", low=0, high=1),
            OTHERS: Layout(FLOAT64, "st2"),
        },
    ),
    "probe.npz": ({OTHERS: Layout(FLOAT64, "n", may_be_nan=True)},),
}


def read_arrays(content: bytes, name: str) -> "Arrays":
    """Return the arrays of a shared file. Raises InputError unless they are what a file of this name has."""
    from grid.results.items import read_archive

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size, names = sum(entry.file_size for entry in archive.infolist()), archive.namelist()
        if size > LARGEST:
            raise InputError(f"unpacks to {size:,} bytes; at most {LARGEST:,} are accepted")
        if len(set(names)) < len(names):
            raise InputError("has two arrays of one name")
        found = read_archive(io.BytesIO(content))
    except InputError:
        raise
    except Exception as error:  # of a crafted archive: whatever zlib, zipfile and NumPy raise
        raise InputError(f"is no archive of arrays of NumPy's format 1 ({type(error).__name__})") from None
    if problems := _problems(found, LAYOUTS[name]):
        raise InputError(f"has {'; '.join(problems)}")
    return found


def _problems(found: "Arrays", layouts: tuple[dict[str, Layout], ...]) -> list[str]:
    """Return what is wrong with arrays, by the layout of their names and numbers of axes."""
    named = [layout for layout in layouts if _has_names(found, layout)]
    if not named:
        accepted = " or ".join(dict.fromkeys(" and ".join(_needed(layout)) for layout in layouts))
        names = ", ".join(found)[:LONGEST] or "none"
        return [f"other arrays than a file of this name: {names!r}; {accepted or 'any'} is accepted"]
    return list(_problems_of(found, next((one for one in named if _has_axes(found, one)), named[0])))


def _has_names(found: "Arrays", layout: Mapping[str, Layout]) -> bool:
    known = OTHERS in layout or found.keys() <= layout.keys()
    return bool(found) and known and set(_needed(layout)) <= found.keys()


def _has_axes(found: "Arrays", layout: Mapping[str, Layout]) -> bool:
    return all(found[name].ndim == len(layout[name].axes) for name in found.keys() & layout.keys())


def _needed(layout: Mapping[str, Layout]) -> list[str]:
    return [name for name, one in layout.items() if one.is_needed and name != OTHERS]


def _problems_of(found: "Arrays", layout: Mapping[str, Layout]) -> Iterator[str]:
    lengths: dict[str, int] = {}
    problems = list[str]()
    for name, values in sorted(found.items(), key=lambda item: item[0] not in layout):
        check_text(name)
        problems += (layout.get(name) or layout[OTHERS]).problems(name, values, lengths)
    yield from problems
    for name, axis in () if problems else NUMBERED:
        if name in found and _type_of(found[name]) == WHOLE and found[name].max() >= lengths[axis]:
            yield f"`{name}` up to {found[name].max()}; 0 to {lengths[axis] - 1} is accepted"


def check_text(text: str) -> None:
    """Raise InputError for a text that may be a path, or that a terminal would take for a command."""
    if len(text) > LONGEST or "/" in text or "\\" in text or not text.isprintable():
        raise InputError(f"has a text that may be a path: {text[:LONGEST]!r}")
