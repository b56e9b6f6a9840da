"""Random streams give the numbers of version 0.3.1; a renamed stream would change results unnoticed."""

import pytest
from version_0_3_1 import pinned, stream_value, streams_in_source

STREAMS = pinned("streams.json")


@pytest.mark.parametrize("stream", STREAMS)
def test_stream_keeps_its_seed(stream: str) -> None:
    assert stream_value(stream) == STREAMS[stream]


def test_streams_in_source_are_the_pinned_ones() -> None:
    """A new stream is added to streams.json; a stream that disappears has been renamed by mistake."""
    assert streams_in_source() == set(STREAMS)
