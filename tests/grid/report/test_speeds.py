"""Steps to a score, beside a look at every evaluated step of every repeat."""

import math
from dataclasses import replace

from made_cells import made as cells_of

from grid.report.speeds import Speed, speeds

CURVES = {  # by initialization and seed: step and score
    ("random", 0): ((10, 0.2), (100, 0.6), (200, 0.8)),
    ("random", 1): ((10, 0.2), (100, 0.7), (200, 0.6)),
    ("ADE20K", 0): ((10, 0.7), (100, 0.9)),
    ("ADE20K", 1): ((10, 0.3), (50, 0.75), (100, 0.7)),
    ("HRF", 0): ((10, 0.3), (100, 0.5)),
    ("HRF", 1): ((10, 0.3), (100, 0.74)),
}
DENSE = {"random": 200.0, "ADE20K": 60.0, "HRF": 100.0}


def rows(digest: str) -> list[dict[str, float]]:
    name, seed = digest.split()
    return [{"step": step, "val_miou": value} for step, value in CURVES[name, int(seed)]]


def made(dense: dict[str, float]) -> list:
    values = {"random": (0.8, 0.7), "ADE20K": (0.9, 0.75), "HRF": (0.5, 0.74)}
    found = []
    for name, own in values.items():
        (one,) = cells_of(name, list(own))
        found.append(replace(one, digests={repeat: f"{name} {repeat.seed}" for repeat in one.values}))

    def recorded(one, metric):
        name = one.key.initialization
        if metric == "dense_steps_to_95":
            return {0: dense[name]} if name in dense else {}
        return {0: 500.0} if metric == "steps_to_95" else dict(enumerate(values[name]))

    return [found, recorded]


def test_speeds_count_the_first_step_as_good_as_random_at_its_best() -> None:
    """The mean best of random weights is 0.75."""
    found = speeds(*made(DENSE), rows)
    assert found is not None
    (column,) = found.columns
    each = {name: row[column] for name, row in found.rows.items()}
    assert each["random"] == Speed(200.0, 1, 2, 200.0, 1, True)
    assert each["ADE20K"] == Speed(60.0, 1, 2, (100 + 50) / 2, 2, True)
    assert each["HRF"].reached == 0
    assert math.isnan(each["HRF"].to_random)
    assert found.least(column) == 60.0


def test_cells_without_early_evaluations_are_left_out_where_others_have_them() -> None:
    found = speeds(*made({"ADE20K": 60.0}), rows)
    assert found is not None
    assert (found.dense, list(found.rows)) == (True, ["ADE20K"])
    old = speeds(*made({}), rows)
    assert old is not None
    assert not old.dense
    assert {speed.steps for row in old.rows.values() for speed in row.values()} == {500.0}
