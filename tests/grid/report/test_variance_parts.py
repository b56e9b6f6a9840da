"""The parts of a gain's variance are those of its interval."""

import pytest
from made_cells import made

from grid.report.tables import contrasts
from grid.report.variance_parts import VarianceParts, variance_parts
from grid.results.groups import compared_groups

NAN = float("nan")


def test_parts_of_repeats_alone_are_the_pooled_seed_variance() -> None:
    found = [*made("random", [0.50, 0.52]), *made("ISIC2019", [0.60, 0.62])]
    (parts,) = variance_parts(contrasts(found), compared_groups(found))
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
    (contrast,) = contrasts(made("random", [0.5]))
    assert VarianceParts(contrast, items, repeats, 1.0).advice == advice
