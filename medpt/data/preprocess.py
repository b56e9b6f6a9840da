"""The preprocessing pipeline: a string such as `crop_fundus(10)|resize(256)|clahe(2,8)`, and what it does.

The string determines the pixels and goes into digests, so it has one canonical spelling. Operations act on an
image and its mask together: geometry on both (masks by nearest neighbour), intensities on the image alone.
Defaults are the paper's section 2.2 where it speaks (crop, 256 x 256 bilinear, CLAHE) and this project's
decisions where it does not. `roi(side)` cuts a square around a point that the caller found in the image as
decoded, hence it comes first. Parsing needs only the standard library; OpenCV is imported when an operation
runs.
"""

import ast
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.card import DatasetCard
from medpt.data.crops import (
    Image,
    Mask,
    Pair,
    crop_dermoscopy,
    crop_fundus,
    crop_square,
    crop_white,
    crop_xray,
)
from medpt.data.decode import check_size, opencv
from medpt.errors import InputError, did_you_mean

GREY_TYPES = (np.uint8, np.int16, np.uint16, np.float32)
Point = tuple[float, float]  # x, y in pixels of the image as decoded; pixel centres are whole


def preprocess(image: Image, pipeline: str) -> NDArray[np.uint8]:
    """uint8 (S, S, 3), grey replicated, S from the pipeline's resize.

    `image` is uint8 (H, W, 3) RGB or (H, W), or int16 Hounsfield units (H, W) if the pipeline begins with
    window. Raises InputError for a bad pipeline or an image that an operation cannot take.
    """
    return preprocess_pair(np.asarray(image), None, pipeline)[0]


def preprocess_pair(
    image: Image, mask: Mask, pipeline: str, centre: Point | None = None
) -> tuple[NDArray[np.uint8], Mask]:
    """As `preprocess`, with the uint8 (H, W) mask of class ids brought to (S, S) by the same geometry.

    No value appears in the mask that was not there, save 0 in what crop_fundus and roi pad. `centre` is what
    roi cuts around.
    """
    _check_arrays(image, mask)
    if mask is not None and mask.shape != image.shape[:2]:
        raise InputError(f"mask of {_size(mask)} for an image of {_size(image)} (width x height)")
    for step in _parsed(pipeline):
        image, mask = OPERATIONS[step.name].apply(image, mask, *step.arguments, *_around(step, centre))
    if image.dtype != np.uint8:
        raise InputError(
            f"{pipeline}: {image.dtype} pixels at the end; begin with window(lo,hi) or percentile(lo,hi)"
        )
    if image.ndim == 2:
        image = opencv().cvtColor(image, opencv().COLOR_GRAY2RGB)
    return np.ascontiguousarray(image), mask


def _check_arrays(image: Image, mask: Mask) -> None:
    """Raise InputError for what OpenCV would misread or crash on: other shapes, types and values."""
    grey, colour = image.ndim == 2, image.ndim == 3 and image.shape[2] == 3
    if not (grey and image.dtype in GREY_TYPES) and not (colour and image.dtype == np.uint8):
        raise InputError(
            f"image of {image.dtype} {image.shape}; accepted: uint8 (H, W, 3) RGB or (H, W), and "
            "int16, uint16 or float32 (H, W)"
        )
    check_size(image.shape[1], image.shape[0], "image")
    if image.dtype == np.float32 and not np.isfinite(image).all():
        raise InputError("image with values that are no number; accepted: finite values")
    if mask is not None and (mask.ndim != 2 or mask.dtype != np.uint8):
        raise InputError(f"mask of {mask.dtype} {mask.shape}; accepted: uint8 (H, W) class numbers")


def default_pipeline(modality: str, size: int = 256) -> str:
    """The canonical pipeline of a modality: its crop or intensity window, resize, CLAHE."""
    if modality not in FIRST:
        raise InputError(f"unknown modality {modality!r}; {did_you_mean(modality, FIRST)}")
    return canonical("|".join([*FIRST[modality], f"resize({size})", "clahe(2.0,8)"]))


def pipeline_of(info: DatasetCard, size: int = 256) -> str:
    """The canonical pipeline of a dataset: its card's, with its resize to `size`, or its modality's."""
    if not info.pipeline:
        return default_pipeline(info.modality, size)
    steps = canonical(info.pipeline).split("|")
    return "|".join(f"resize({size})" if step.startswith("resize(") else step for step in steps)


def canonical(pipeline: str) -> str:
    """The one spelling of a pipeline: no spaces, defaults written out, 2.0 as 2. Raises InputError."""
    return "|".join(f"{step.name}({','.join(map(_spelled, step.arguments))})" for step in _parsed(pipeline))


def roi_pipeline(side: int, size: int = 256) -> str:
    """The canonical pipeline of a square of `side` pixels around the optic disc (pOSAL, Wang et al. 2019)."""
    return canonical(f"roi({side})|resize({size})|clahe")


def roi_side(pipeline: str) -> int | None:
    """The side in pixels of the square that is cut around a point; None where the pipeline needs no point."""
    return next((int(step.arguments[0]) for step in _parsed(pipeline) if step.name == ROI), None)


def steps(pipeline: str) -> list[tuple[str, tuple[float, ...]]]:
    """Names and arguments of the operations, in their order."""
    return [(step.name, step.arguments) for step in _parsed(pipeline)]


def output_size(pipeline: str) -> int:
    """S, the side of the square images that the pipeline makes."""
    return next(int(step.arguments[0]) for step in _parsed(pipeline) if step.name == "resize")


def window(image: Image, mask: Mask, low: float, high: float) -> Pair:
    """[low, high] Hounsfield units to 0..255, rounded; what lies outside is clipped."""
    return _stretched(image, low, high), mask


def percentile(image: Image, mask: Mask, low: float, high: float) -> Pair:
    """The low-th to high-th percentile of the image to 0..255; a constant image becomes black."""
    bottom, top = np.percentile(image, [low, high])
    if top <= bottom:
        return np.zeros(image.shape, np.uint8), mask
    return _stretched(image, float(bottom), float(top)), mask


def resize(image: Image, mask: Mask, size: int) -> Pair:
    """Size x size, aspect not kept: image bilinear, mask nearest, both with pixel centres aligned."""
    cv2 = opencv()
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    if mask is not None:  # INTER_NEAREST would shift the mask by up to half a source pixel
        mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return small, mask


def clahe(image: Image, mask: Mask, clip: float, tiles: int) -> Pair:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), of L in CIELAB for colour."""
    if image.dtype != np.uint8:
        raise InputError(f"clahe: {image.dtype} pixels; accepted: uint8 (put window or percentile before it)")
    cv2 = opencv()
    equalise = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    if image.ndim == 2:
        return equalise.apply(image), mask
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[:, :, 0] = equalise.apply(lab[:, :, 0])
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), mask


def _around(step: "_Step", centre: Point | None) -> tuple[Point, ...]:
    if step.name != ROI:
        return ()
    if centre is None:
        raise InputError(f"{ROI} needs the place of the optic disc, which a grid's detector finds: {ROI_KEY}")
    return (centre,)


def _stretched(image: Image, low: float, high: float) -> NDArray[np.uint8]:
    scaled = (image.astype(np.float32) - low) * np.float32(255 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _size(pixels: Image) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


@dataclass(frozen=True)
class Parameter:
    """A number from `low` to `high` (both accepted)."""

    name: str
    low: float
    high: float
    whole: bool = False
    default: float | None = None

    def accepted(self) -> str:
        return f"{self.name}: {'a whole' if self.whole else 'a'} number from {self.low:g} to {self.high:g}"

    def takes(self, value: Any) -> bool:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return number and self.low <= value <= self.high and (not self.whole or float(value).is_integer())


@dataclass(frozen=True)
class Operation:
    apply: Callable[..., Pair]
    parameters: tuple[Parameter, ...] = ()


ROI = "roi"
ROI_KEY = "`roi` of a dataset in a space file (docs/spaces.md)"
_THRESHOLD = Parameter("threshold", 0, 254, default=10)
_HU = (Parameter("lo", -32768, 32767), Parameter("hi", -32768, 32767))

OPERATIONS: dict[str, Operation] = {
    "crop_fundus": Operation(crop_fundus, (_THRESHOLD,)),
    "crop_dermoscopy": Operation(crop_dermoscopy, (_THRESHOLD,)),
    "crop_xray": Operation(crop_xray),
    "crop_white": Operation(crop_white, (Parameter("threshold", 0, 254, default=250),)),
    ROI: Operation(crop_square, (Parameter("side", 2, 4096, whole=True),)),
    "window": Operation(window, _HU),
    "percentile": Operation(percentile, (Parameter("lo", 0, 100), Parameter("hi", 0, 100))),
    "resize": Operation(resize, (Parameter("size", 2, 4096, whole=True),)),
    "clahe": Operation(
        clahe, (Parameter("clip", 0.01, 255, default=2), Parameter("tiles", 1, 64, whole=True, default=8))
    ),
}

FIRST: dict[str, tuple[str, ...]] = {
    "x-ray": ("crop_xray()",),
    "mammography": ("crop_xray()",),
    "ct": ("window(-160,240)",),  # abdominal soft tissue
    "mri": ("percentile(1,99)",),
    "fundus": ("crop_fundus(10)",),
    "dermoscopy": ("crop_dermoscopy(10)",),
    **dict.fromkeys(("histology", "oct", "ultrasound", "endoscopy", "natural"), ()),
}


@dataclass(frozen=True)
class _Step:
    name: str
    arguments: tuple[float, ...]


@lru_cache(maxsize=256)
def _parsed(pipeline: str) -> tuple[_Step, ...]:
    if not isinstance(pipeline, str):
        raise InputError(f"pipeline is {pipeline!r}; accepted: text such as resize(256)")
    problems: list[str] = []
    steps = [
        _step(text, f"{pipeline!r}, operation {n}", problems) for n, text in enumerate(pipeline.split("|"), 1)
    ]
    resizes = sum(step.name == "resize" for step in steps)
    if not problems and resizes != 1:
        problems.append(f"{pipeline!r}: {resizes} resize; accepted: exactly one, such as resize(256)")
    if not problems and any(step.name == ROI for step in steps[1:]):
        problems.append(f"{pipeline!r}: {ROI} after another operation; it is accepted as the first one alone")
    if problems:
        raise InputError(problems)
    return tuple(steps)


def _step(text: str, place: str, problems: list[str]) -> _Step:
    name, arguments = _call(text.strip())
    if name not in OPERATIONS:
        problems.append(f"{place}: unknown operation {text.strip()!r}; {did_you_mean(name, OPERATIONS)}")
        return _Step(name, ())
    parameters = OPERATIONS[name].parameters
    values = [*arguments, *(parameter.default for parameter in parameters[len(arguments) :])]
    problems += [
        f"{place} ({text.strip()}): {complaint}" for complaint in _complaints(name, parameters, values)
    ]
    return _Step(name, tuple(value for value in values if isinstance(value, int | float)))


def _call(text: str) -> tuple[str, list[Any]]:
    try:
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return node.func.id, [_number(argument) for argument in node.args]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return text, []


def _number(node: ast.expr) -> Any:
    value = ast.literal_eval(node)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _complaints(name: str, parameters: tuple[Parameter, ...], values: list[Any]) -> Iterator[str]:
    accepted = "; ".join(parameter.accepted() for parameter in parameters) or "no argument"
    if len(values) > len(parameters):
        yield f"{len(values)} arguments; accepted: {accepted}"
        return
    for parameter, value in zip(parameters, values, strict=True):
        if not parameter.takes(value):
            given = "nothing" if value is None else repr(value)
            yield f"{parameter.name} is {given}; accepted: {parameter.accepted()}"
            return
    if name in ("window", "percentile") and values[0] >= values[1]:
        yield f"lo {values[0]} is not under hi {values[1]}"


def _spelled(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
