"""Patches of a slide: candidates, the rules for valid patches, and the final preprocessing.

Candidates are drawn from the complete slide, glass included, as the counts of the paper's Table 4 imply. A
valid patch holds tissue, is not blank, has no pen marks and is in focus. The threshold of focus depends on
the training patients, so it is not applied on extraction: each patch keeps its focus, and `in_focus` decides
for a split.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.decode import opencv
from medpt.data.preprocess import preprocess
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.protocol import decision
from medpt.schema import strict_dataclass, validate
from medpt.survival.tissue import ink

MICRONS = 0.5  # a pixel: 20x
TISSUE = 0.5  # least share of tissue in a box
BLANK = 10.0  # least standard deviation of grey levels
PEN = 0.05  # largest share of pen
FOCUS_PERCENTILE = 2.0  # of training patches: below it, out of focus

Pixels = NDArray[np.uint8]


@strict_dataclass
class PatchOptions:
    """What determines the patches of a slide, besides the seed."""

    candidates: int = decision(
        200, "boxes a slide; Table 4: 199.6 for LGG, 223.2 for GBM", "a whole number from 1", ge=1
    )
    box: int = decision(
        512, "side in pixels of 0.5 microns; phantom slides need less", "a whole number from 8", ge=8
    )
    size: int = decision(256, "side of the stored patch", "a whole number from 8", ge=8)
    clahe: bool = decision(False, "the paper equalises all images; of H&E it changes the stain")

    @property
    def pipeline(self) -> str:
        """From a box of pixels to a stored patch, for medpt.data.preprocess."""
        return f"resize({self.size})" + ("|clahe(2,8)" if self.clahe else "")


CANDIDATES = {"TCGA-LGG": 200, "TCGA-GBM": 223}  # Table 4: extracted patches / WSIs


def options_of(dataset: str, given: Mapping[str, Any]) -> PatchOptions:
    """Return the options of a dataset with those `given`; InputError for unknown names and bad values."""
    _, problems = validate(PatchOptions, given)
    if problems:
        raise InputError(f"patches: {text}" for _, text in problems)
    usual = {"candidates": CANDIDATES[dataset]} if dataset in CANDIDATES else {}
    return PatchOptions(**{**usual, **given})


def candidates(width: int, height: int, side: int, count: int, seed: int, slide: str) -> NDArray[np.int64]:
    """Draw the left and top corners (k, 2) of k <= `count` boxes without replacement from the slide's grid.

    The grid holds the boxes of `side` pixels that lie completely on the slide, side by side from its corner.
    Corners are in reading order, top to bottom, left to right. `slide` names the random stream.
    """
    columns, rows = width // side, height // side
    drawn = np.random.default_rng(stream_seed(seed, "candidates", slide))
    cells = np.sort(drawn.permutation(columns * rows)[:count])
    return np.stack([cells % max(1, columns), cells // max(1, columns)], axis=1) * side


def fault(patch: Pixels) -> str | None:
    """Return why a box (S, S, 3) with enough tissue is not a valid patch, "blank" or "pen", or None."""
    cv2 = opencv()
    if cv2.meanStdDev(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY))[1].item() < BLANK:
        return "blank"
    return "pen" if pen_share(patch) > PEN else None


def pen_share(patch: Pixels) -> float:
    """Return the share of pixels, 0 to 1, with the colours of pens (medpt.survival.tissue.ink)."""
    cv2 = opencv()
    return cv2.countNonZero(ink(cv2.cvtColor(patch, cv2.COLOR_RGB2HSV))) / (patch.size // 3)


def focus(patch: Pixels) -> float:
    """Return the variance of the Laplacian (3 x 3, four neighbours) of the grey levels; higher is sharper.

    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """
    cv2 = opencv()
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    return float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))[1].item() ** 2)


def in_focus(focuses: NDArray[np.floating], training: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (n,) of patches at least as sharp as the FOCUS_PERCENTILE of the training patches.

    `training` (n,) is True for patches of training patients; only these set the threshold. Raises InputError
    if there are none.
    """
    if not training.any():
        raise InputError("no patch of a training patient: the threshold of focus cannot be set")
    return np.asarray(focuses >= np.percentile(focuses[training], FOCUS_PERCENTILE))


def finish(patch: Pixels, options: PatchOptions) -> Pixels:
    """Turn a box (box, box, 3) at 0.5 microns per pixel into the stored patch (size, size, 3)."""
    return preprocess(patch, options.pipeline)
