"""What the survival models share: checks of inputs, a training step, early stopping, missing risks."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.convergence import EarlyStopping
from medpt.errors import DivergedError, InputError
from medpt.survival.concordance import comparable_pairs, concordance_index
from medpt.survival.cox import cox_loss
from medpt.survival.evaluate import require_finite
from medpt.survival.study import TRAIN, Prediction, Study


def require_fields(study: Study, *fields: str) -> list[Any]:
    """Return these fields; raise InputError if one is not given or no training patient has a patch."""
    given = {name: getattr(study, name) for name in fields}
    problems = [f"survival study: no {name} given" for name, value in given.items() if value is None]
    if not len(patients_with_patches(study, TRAIN)):
        problems.append("survival study: no training patient has a patch")
    if problems:
        raise InputError(problems)
    return list(given.values())


def patients_with_patches(study: Study, split: int | None = None) -> NDArray[np.intp]:
    """Return the rows of the patients of a split, or of all, that have a patch."""
    rows = np.arange(len(study.patients)) if split is None else study.rows(split)
    return np.array([row for row in rows if len(study.bags[row])], np.intp)


def batches(rows: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Split `rows`, in order, into the fewest batches of at most `size` that differ by at most one row."""
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []


def patches(study: Study, patients: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the rows of all patches of these patients, patient after patient."""
    return np.concatenate([np.empty(0, np.intp), *(study.bags[row] for row in patients)])


def c_index(study: Study, patients: NDArray[np.intp], risk: NDArray[np.floating]) -> float:
    """Return Harrell's C-index of `risk` (len(patients),); nan if no pair of these patients is comparable."""
    time, event = study.time[patients], study.event[patients]
    return concordance_index(time, event, require_finite(risk)) if comparable_pairs(time, event) else math.nan


def prediction(study: Study, risk: NDArray[np.floating], facts: Mapping[str, float]) -> Prediction:
    """Return `risk`, of the patients with patches, for all patients.

    Patients without patches get the median risk of the training patients; the fact `without_patches` counts
    them. Raises DivergedError for a risk that is not finite.
    """
    seen = patients_with_patches(study)
    risks = np.full(len(study.patients), np.nan)
    risks[seen] = require_finite(risk)
    return Prediction(fill_missing(risks, study), {**facts, "without_patches": float(len(risks) - len(seen))})


def fill_missing(risk: NDArray[np.floating], study: Study) -> NDArray[np.float64]:
    """Replace nan in `risk` (P,), of patients without patches, by the training patients' median risk."""
    return np.where(np.isnan(risk), np.nanmedian(risk[study.rows(TRAIN)]), risk).astype(np.float64)


def train(
    model: nn.Module,
    epoch: Callable[[int], None],
    validation_score: Callable[[], float],
    epochs: int,
    patience: int,
    least: int = 1,
) -> EarlyStopping:
    """Run `epoch(1)`, `epoch(2)`, ... and keep the weights of `model` with the best `validation_score()`.

    Higher is better. Training stops after `patience` epochs without a gain. Epochs before `least` are not
    scored, except the last one. If the score is nan (no comparable pair of validation patients), all `epochs`
    are trained and the last weights stay. Leaves `model` in evaluation mode.
    """
    standing, best = EarlyStopping(best_step=epochs), dict[str, Tensor]()
    for number in range(1, epochs + 1):
        model.train()
        epoch(number)
        model.eval()
        if number < min(least, epochs) or math.isnan(value := validation_score()):
            continue
        standing = standing.after(value, number, 0.0)
        if standing.best_step == number:
            best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if standing.stale >= patience:
            break
    if best:
        model.load_state_dict(best)
    return standing


def patients_loss(study: Study, patients: NDArray[np.intp], risk: Tensor) -> Tensor:
    """Return the Cox loss of these patients' risks (len(patients),); raise DivergedError unless finite."""
    time, event = (torch.from_numpy(x[patients]).to(risk.device) for x in (study.time, study.event))
    return require_finite_loss(cox_loss(risk, time, event))


def minimise(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Take one step of the optimiser."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def require_finite_loss(loss: Tensor) -> Tensor:
    """Return `loss`; raise DivergedError unless it is finite."""
    if not math.isfinite(loss.item()):
        raise DivergedError(f"the Cox loss is {loss.item()}")
    return loss
