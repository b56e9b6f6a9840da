"""What the deep survival models share: their inputs checked, epochs that stop early, gaps filled."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.errors import DivergedError, InputError
from medpt.survival.concordance import comparable_pairs, concordance_index
from medpt.survival.study import TRAIN, Prediction, Study
from medpt.train import EarlyStopping


def require_fields(study: Study, *fields: str) -> list[Any]:
    """These fields; raises InputError where one is not given or no training patient has a patch."""
    given = {name: getattr(study, name) for name in fields}
    problems = [f"survival study: {name}: not given" for name, value in given.items() if value is None]
    if not len(patients_with_patches(study, TRAIN)):
        problems.append("survival study: no training patient has a patch")
    if problems:
        raise InputError(problems)
    return list(given.values())


def patients_with_patches(study: Study, part: int | None = None) -> NDArray[np.intp]:
    """The patients of a part, or of all, that have a patch."""
    rows = np.arange(len(study.patients)) if part is None else study.rows(part)
    return np.array([row for row in rows if len(study.bags[row])], np.intp)


def batches(rows: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """`rows` in order, in the fewest parts of at most `size`, which differ by one row at the most."""
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []


def patches(study: Study, patients: NDArray[np.intp]) -> NDArray[np.intp]:
    """Every patch of these patients, patient after patient."""
    return np.concatenate([np.empty(0, np.intp), *(study.bags[row] for row in patients)])


def c_index(study: Study, patients: NDArray[np.intp], risk: NDArray[np.floating]) -> float:
    """Harrell's C-index of `risk` (len(patients),); nan where no two of these patients can be compared."""
    time, event = study.time[patients], study.event[patients]
    return concordance_index(time, event, require_finite(risk)) if comparable_pairs(time, event) else math.nan


def prediction(study: Study, risk: NDArray[np.floating], facts: Mapping[str, float]) -> Prediction:
    """`risk` of the patients that have patches; the others get the median of the training patients.

    The fact `without_patches` counts these others. Raises DivergedError for a risk that is not a number.
    """
    seen = patients_with_patches(study)
    whole = np.full(len(study.patients), np.nan)
    whole[seen] = require_finite(risk)
    return Prediction(without_gaps(whole, study), {**facts, "without_patches": float(len(whole) - len(seen))})


def without_gaps(risk: NDArray[np.floating], study: Study) -> NDArray[np.float64]:
    """`risk` (P,) where nan, a patient without patches, becomes the median risk of the training patients."""
    return np.where(np.isnan(risk), np.nanmedian(risk[study.rows(TRAIN)]), risk).astype(np.float64)


def require_finite(risk: NDArray[np.floating]) -> NDArray[np.floating]:
    """`risk`, or DivergedError where one is not a finite number."""
    if not np.isfinite(risk).all():
        raise DivergedError(f"{(~np.isfinite(risk)).sum()} of {len(risk)} predicted risks are not numbers")
    return risk


def train(
    model: nn.Module,
    epoch: Callable[[int], None],
    judge: Callable[[], float],
    epochs: int,
    patience: int,
    least: int = 1,
) -> EarlyStopping:
    """Runs `epoch(1)`, `epoch(2)`, ... and leaves `model`, in eval mode, with its best weights by `judge()`.

    Higher is better; it stops after `patience` epochs without a gain. Epochs before `least` are not judged,
    the last one always is. Where `judge` gives nan (no pair of validation patients can be compared) it trains
    all `epochs` and the last weights stay.
    """
    standing, best = EarlyStopping(best_step=epochs), dict[str, Tensor]()
    for number in range(1, epochs + 1):
        model.train()
        epoch(number)
        model.eval()
        if number < min(least, epochs) or math.isnan(value := judge()):
            continue
        standing = standing.after(value, number, 0.0)
        if standing.best_step == number:
            best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if standing.stale >= patience:
            break
    if best:
        model.load_state_dict(best)
    return standing


def require_finite_loss(loss: Tensor) -> Tensor:
    """`loss`, or DivergedError where it is not a number."""
    if not math.isfinite(loss.item()):
        raise DivergedError(f"the Cox loss is {loss.item()}")
    return loss
