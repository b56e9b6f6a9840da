"""What a sample of masks says of their classes and of the values that stand for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medpt.data.card import MOST_CLASSES, UNLABELLED, Value
from medpt.data.readers.folder_volumes import is_volume, mask_values
from medpt.errors import InputError

SAMPLE, SAMPLE_OF_VOLUMES = 24, 8  # masks that are decoded
MOST_VALUES = 32  # a mask of more values is a picture, or was saved as JPEG
BORDER, FOREGROUND = 128, 255  # as usual in masks of 0, 128 and 255


@dataclass(frozen=True)
class MaskClasses:
    """Classes by the values of masks; `values` is empty where masks hold class numbers."""

    classes: tuple[str, ...]
    values: Mapping[str, Value] = field(default_factory=dict)
    reason: str = ""
    unsure: bool = True


def sample_masks(paths: Sequence[Path]) -> MaskClasses:
    """Describe the classes of masks from a sample of them, spread over the folder.

    Raises InputError where no mask can be read, and where they hold more than MOST_VALUES values.
    """
    sample = SAMPLE_OF_VOLUMES if any(is_volume(path.name) for path in paths) else SAMPLE
    chosen = paths[:: max(1, len(paths) // sample)][:sample]
    values: set[Value] = set()
    problems: list[str] = []
    for path in chosen:
        try:
            values |= _values(path)
        except InputError as error:
            problems += error.problems
        if len(values) > MOST_VALUES:
            text = f"masks of more than {MOST_VALUES} values; a mask has one value for each class"
            raise InputError(f"{path}: {text}, and JPEG or smoothing adds others")
    if not values:
        raise InputError(problems)
    return _classes(values, len(chosen))


def _values(path: Path) -> set[Value]:
    from medpt.data.masks import read_values

    if is_volume(path.name):
        return set(mask_values(path))
    stored = read_values(path, palette_colours=False)
    if stored.ndim == 3 and (stored == stored[:, :, :1]).all():
        stored = stored[:, :, 0]
    if stored.ndim == 2:
        return {int(value) for value in np.unique(stored)}
    red, green, blue = np.moveaxis(stored.astype(np.int64), 2, 0)
    codes = np.unique(red << 16 | green << 8 | blue)
    return {(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in codes}


def _classes(found: set[Value], masks: int) -> MaskClasses:
    grey = sorted(value for value in found if isinstance(value, int))
    colours = sorted(value for value in found if isinstance(value, tuple))
    if colours:
        colours = sorted({*colours, *((value,) * 3 for value in grey)}, key=lambda value: (sum(value), value))
        return _coded(colours, f"{masks} masks have {len(colours)} colours")
    shown = f"{masks} masks have the values {', '.join(map(str, grey))}"
    numbers = [value for value in grey if value != FOREGROUND]
    if numbers and numbers[-1] < min(MOST_CLASSES, 2 * len(numbers)) and numbers[-1] > 0:
        classes = ("background", *(f"class_{n}" for n in range(1, numbers[-1] + 1)))
        return MaskClasses(classes, reason=f"{shown}, taken for class numbers", unsure=FOREGROUND in grey)
    return _coded(grey, shown)


def _coded(values: Sequence[Value], shown: str) -> MaskClasses:
    """A value for each class, the smallest for the background."""
    if list(values) == [0, BORDER, FOREGROUND]:
        given: dict[str, Value] = {"background": 0, "foreground": FOREGROUND, UNLABELLED: BORDER}
        reason = f"{shown}; is {BORDER} an unlabelled border?"
        return MaskClasses(("background", "foreground"), given, reason)
    if len(values) == 2:
        first, second = values
        given = {"background": first, "foreground": second}
        return MaskClasses(tuple(given), given, shown, unsure=first not in (0, (0, 0, 0)))
    given = {"background" if not n else f"class_{n}": value for n, value in enumerate(values)}
    return MaskClasses(tuple(given), given, shown)
