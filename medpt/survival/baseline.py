"""The sober baseline: ridge Cox regression on what the chart says, such as age and grade; no image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medpt.errors import InputError, did_you_mean
from medpt.survival.ridge import fit
from medpt.survival.study import TRAIN, Prediction, Study


@dataclass(frozen=True)
class Options:
    columns: tuple[str, ...] = ()  # empty: all that the study has; ("age",) is the age-only control
    penalty: float = 0.01  # on mean log likelihood a death; only a column that separates the deaths feels it


def predict(study: Study, options: Options = Options()) -> Prediction:
    """Log hazards, fitted on the training patients; ties as Breslow's, columns of unit variance.

    A value unknown (nan) becomes the median of the training patients' known ones, which pulls its patient
    to the middle and tells nothing of why it is unknown. Columns with fewer than two distinct known values
    among the training patients are left out; where none remains, or one asked for is not there, InputError.
    Without a death in the training part all risks are equal. Facts: `columns` used, share of values
    `unknown` in them.
    """
    rows = study.rows(TRAIN)
    columns = _columns(study, options, rows)
    x = np.column_stack([np.where(np.isnan(c), np.nanmedian(c[rows]), c) for c in columns])
    model = fit(x[rows], study.time[rows], study.event[rows], options.penalty)
    facts = {"columns": float(len(columns)), "unknown": float(np.isnan(columns).mean())}
    return Prediction(model(x), facts)


def _columns(study: Study, options: Options, rows: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    names = options.columns or tuple(study.clinical)
    absent = [name for name in names if name not in study.clinical]
    if absent:
        raise InputError(f"cox: column {name!r}: {did_you_mean(name, study.clinical)}" for name in absent)
    values = [np.asarray(study.clinical[name], np.float64) for name in names]
    telling = [column for column in values if len(np.unique(column[rows][~np.isnan(column[rows])])) > 1]
    if not telling:
        raise InputError(
            f"cox: columns {', '.join(names) or 'none'}: accepted: two values among training patients"
        )
    return telling
