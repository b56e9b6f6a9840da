"""What tables and comparisons have to know of a metric besides its name."""

from medpt.errors import InputError

STEPS = ("steps", "best_step", "steps_to_95", "dense_steps_to_95")
UNSCALED = (*STEPS, "seconds", "pairs", "hd95")  # counts, or pixels, and no fractions
SMALLER_IS_BETTER = (*STEPS, "hd95", "brier", "calibration_error", "integrated_brier")
LATER = ("c_index_ipcw", "integrated_brier", "dense_steps_to_95")  # not in results of version 0.3.1


def require_larger_is_better(metric: str | None) -> None:
    """Raise InputError for a metric whose smaller values are better: comparisons take larger ones for it."""
    if metric in SMALLER_IS_BETTER:
        raise InputError(
            f"--metric {metric}: its smaller values are better, and comparisons call the larger one better; "
            "ask for its cells, which have intervals (--ask cells)"
        )
