"""What stands behind a report's numbers."""

from dataclasses import fields

from grid.report import provenance
from medpt.protocol import TrainingProtocol


def test_unset_protocol_fields_have_a_text() -> None:
    unset = {item.name for item in fields(TrainingProtocol) if getattr(TrainingProtocol(), item.name) is None}
    assert set(provenance.UNSET) == unset
