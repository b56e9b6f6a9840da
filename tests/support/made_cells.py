"""Trials and cells without a run."""

import pandas as pd

from grid.results.cells import Cell, find_cells


def trial(seed: int, value: float | None, state: str = "finished", **changes: object) -> dict[str, object]:
    factors = {
        "experiment": "one",
        "initialization": "random",
        "source": "random",
        "sample_size": None,
        "backbone": "resnet18",
        "architecture": "unet",
        "target": "DRIVE",
        "target_size": 1.0,
        "seed": seed,
        "miou": value,
        "state": state,
    } | changes
    return factors | {"digest": repr(sorted((k, v) for k, v in factors.items() if k != "experiment"))}


def cells(*trials: dict[str, object]) -> list[Cell]:
    return find_cells(pd.DataFrame(trials))


def made(initialization: str, values: list[float], planned: int | None = None) -> list[Cell]:
    finished = [trial(n, v, initialization=initialization) for n, v in enumerate(values)]
    open_seeds = range(len(values), len(values) if planned is None else planned)
    return cells(*finished, *(trial(n, None, "missing", initialization=initialization) for n in open_seeds))
