"""Plans name their units as version 0.3.1 did, so that finished work stays finished."""

import pytest
from version_0_3_1 import declared_kinds, pinned, plan_summary, space_names, unit_digest

SPACES = pinned("spaces.json")
UNITS = pinned("units.json")


def test_spaces_are_all_pinned() -> None:
    """But that of the study, whose datasets have their cards beside their files."""
    assert space_names() == sorted([*SPACES, "study"])


@pytest.mark.parametrize("name", SPACES)
def test_plan_keeps_the_digests_of_its_units_and_trials(name: str) -> None:
    assert plan_summary(name) == SPACES[name]


@pytest.mark.parametrize(
    ("name", "digits"),
    [("table2", "e88bb77478488134"), ("fig3", "72c3079e7a0519b8")],
)
def test_results_that_no_source_precedes_are_named_as_by_version_0_3_1(name: str, digits: str) -> None:
    """All images of sources are prepared since; these digits were computed by the code of version 0.3.1."""
    assert SPACES[name]["without_sources"].startswith(digits)


def test_paper_has_every_kind_of_unit() -> None:
    assert (
        set(SPACES["paper"]["kinds"])
        == set(SPACES["paper-mini"]["kinds"])
        == {entry["kind"] for entry in UNITS}
    )


def test_kinds_of_version_0_3_1_still_exist() -> None:
    assert {entry["kind"] for entry in UNITS} < declared_kinds()


@pytest.mark.parametrize("entry", UNITS, ids=lambda entry: f"{entry['kind']}-{entry['fields']}")
def test_unit_keeps_its_digest(entry: dict) -> None:
    """Read the fields as a stored plan has them. `required` leaves the others to their defaults."""
    assert unit_digest(entry["kind"], entry["values"]) == entry["digest"]
