"""Plans name their units as version 0.3.1 did, so that finished work stays finished."""

import pytest
from version_0_3_1 import declared_kinds, pinned, plan_summary, space_names, unit_digest

SPACES = pinned("spaces.json")
UNITS = pinned("units.json")


def test_spaces_are_all_pinned() -> None:
    assert space_names() == sorted(SPACES)


@pytest.mark.parametrize("name", SPACES)
def test_plan_keeps_the_digests_of_its_units_and_trials(name: str) -> None:
    assert plan_summary(name) == SPACES[name]


@pytest.mark.parametrize(
    ("name", "digits"),
    [("demo", "de45895350770123"), ("paper", "77be22d7ea2098ae"), ("paper-mini", "87e8cf496ab5b789")],
)
def test_pinned_hash_is_the_one_of_the_specification(name: str, digits: str) -> None:
    """Compare with the digits of the migration plan, which were computed by another program."""
    assert SPACES[name]["units"].startswith(digits)


def test_paper_has_every_kind_of_unit() -> None:
    assert set(SPACES["paper"]["kinds"]) == set(SPACES["paper-mini"]["kinds"]) == declared_kinds()


def test_kinds_are_all_pinned() -> None:
    assert {entry["kind"] for entry in UNITS} == declared_kinds()


@pytest.mark.parametrize("entry", UNITS, ids=lambda entry: f"{entry['kind']}-{entry['fields']}")
def test_unit_keeps_its_digest(entry: dict) -> None:
    """Read the fields as a stored plan has them. `required` leaves the others to their defaults."""
    assert unit_digest(entry["kind"], entry["values"]) == entry["digest"]
