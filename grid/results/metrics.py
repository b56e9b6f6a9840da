"""What tables and comparisons have to know of a metric besides its name."""

from collections.abc import Iterable
from math import inf

from medpt.errors import InputError

STEPS = ("steps", "best_step", "steps_to_95", "dense_steps_to_95")
UNSCALED = (*STEPS, "seconds", "pairs", "hd95")  # counts, or pixels, and no fractions
SMALLER_IS_BETTER = (*STEPS, "hd95", "brier", "calibration_error", "integrated_brier")
LATER = ("c_index_ipcw", "integrated_brier", "dense_steps_to_95")  # not in results of version 0.3.1

SIGNED = ("kappa",)  # from -1; other fractions from 0


def bounds(metric: str, values: Iterable[float]) -> tuple[float, float]:
    """Return the least and the largest value of a metric as tables show it: fractions in per cent.

    A metric is no fraction if one of its `values` is outside, as one of an extension may be.
    """
    least, most = (-100.0 if metric in SIGNED else 0.0), (inf if metric in UNSCALED else 100.0)
    return (least, most) if all(least <= value <= most for value in values) else (-inf, inf)


def require_larger_is_better(metric: str | None) -> None:
    """Raise InputError for a metric whose smaller values are better: comparisons take larger ones for it."""
    if metric in SMALLER_IS_BETTER:
        raise InputError(
            f"--metric {metric}: its smaller values are better, and comparisons call the larger one better; "
            "ask for its cells, which have intervals (--ask cells)"
        )
