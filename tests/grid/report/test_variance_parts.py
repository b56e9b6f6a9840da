"""The parts of a gain's variance are those of its interval."""

import numpy as np
import pytest
from made_cells import cells, made, trial

from grid.report.tables import contrasts
from grid.report.variance_parts import Parts, parts_of, variance_parts
from grid.results.groups import compared_groups

NAN = float("nan")


def test_parts_of_repeats_alone_are_the_pooled_seed_variance() -> None:
    found = [*made("random", [0.50, 0.52]), *made("ISIC2019", [0.60, 0.62])]
    (one,) = variance_parts(contrasts(found), compared_groups(found))
    parts = one.parts
    # two cells with a variance of 2 points² each, of two seeds each
    assert (parts.repeats, parts.both) == (pytest.approx(2**0.5), pytest.approx(2**0.5))
    assert parts.items != parts.items
    assert parts.advice == "unknown"


def test_contrasts_without_an_interval_have_no_parts() -> None:
    found = [*made("random", [0.5]), *made("ISIC2019", [0.6])]
    assert variance_parts(contrasts(found), compared_groups(found)) == []
    alone = made("ISIC2019", [0.6, 0.7])
    assert variance_parts(contrasts(alone), compared_groups(alone)) == []


@pytest.mark.parametrize(
    ("items", "repeats", "advice"),
    [(2.0, 1.0, "test images"), (1.0, 2.0, "repeats"), (NAN, 1.0, "unknown"), (1.0, 0.0, "unknown")],
)
def test_advice_names_the_larger_part(items: float, repeats: float, advice: str) -> None:
    assert Parts(items, NAN, NAN, repeats, 1.0).advice == advice


def test_pre_trainings_are_a_part_of_their_own() -> None:
    """Two pre-trainings of two seeds each: their means are 62 and 70, the seeds of each 2 points apart."""
    seeds = [(0, 0, 0.61), (0, 1, 0.63), (1, 0, 0.69), (1, 1, 0.71)]
    source = [trial(seed, value, initialization="A", pretrain_seed=first) for first, seed, value in seeds]
    found = cells(*(trial(n, v) for n, v in enumerate((0.50, 0.52))), *source)
    (group,) = compared_groups(found).values()
    parts = parts_of(group, found[1].key, found[0].key)
    seed_variance = 2.0  # of each pair; moderated by itself
    assert parts.seeds == pytest.approx((seed_variance / 2 + seed_variance / 4) ** 0.5)
    assert parts.pretrainings == pytest.approx((np.var([62, 70], ddof=1) / 2) ** 0.5)
    assert parts.repeats == pytest.approx((parts.pretrainings**2 + seed_variance / 2) ** 0.5)
