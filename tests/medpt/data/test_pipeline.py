"""The language of pipelines: one spelling, and every mistake told."""

import pytest

from medpt.data.preprocess import FIRST, canonical, default_pipeline, output_size
from medpt.errors import InputError


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (" resize( 256 ) | clahe( 2.0 , 8 ) ", "resize(256)|clahe(2,8)"),
        ("crop_fundus|resize(2e2)|clahe", "crop_fundus(10)|resize(200)|clahe(2,8)"),
        ("window(-160.0, 240)|resize(64)|clahe(1.50)", "window(-160,240)|resize(64)|clahe(1.5,8)"),
    ],
)
def test_canonical_spelling(spelled: str, expected: str) -> None:
    assert canonical(spelled) == expected == canonical(expected)


@pytest.mark.parametrize("modality", sorted(FIRST))
def test_default_pipelines_are_canonical(modality: str) -> None:
    pipeline = default_pipeline(modality, 128)
    assert canonical(pipeline) == pipeline
    assert output_size(pipeline) == 128


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("", "operation 1: unknown operation ''"),
        ("resize(256", "operation 1: unknown operation 'resize\\(256'; did you mean resize"),
        ("resise(256)", "did you mean resize"),
        ("resize(4)|foo(1)", "operation 2: unknown operation 'foo\\(1\\)'; known: crop_fundus"),
        ("resize(1.5)", "size is 1.5; accepted: size: a whole number from 2 to 4096"),
        ("resize(1)", "size is 1; accepted"),
        ("resize(True)", "size is True; accepted"),
        ("resize('a')", "size is 'a'; accepted"),
        ("resize(1e999)", "size is inf; accepted"),
        ("resize()", "size is nothing; accepted"),
        ("resize(4,4)", "2 arguments; accepted: size"),
        ("resize(4)|crop_xray(3)", "1 arguments; accepted: no argument"),
        ("resize(4)|clahe(0,8)", "clip is 0; accepted: clip: a number from 0.01 to 255"),
        ("window(40,-40)|resize(4)", "lo 40 is not under hi -40"),
        ("clahe(2,8)", "0 resize; accepted: exactly one"),
        ("resize(4)|resize(8)", "2 resize; accepted: exactly one"),
        ("resize(__import__('os').getpid())", "unknown operation"),
        ("resize(size=4)", "unknown operation"),
    ],
)
def test_bad_pipelines_name_operation_position_and_what_is_accepted(pipeline: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        canonical(pipeline)


def test_all_problems_of_a_pipeline_at_once() -> None:
    with pytest.raises(InputError) as caught:
        canonical("foo|resize(0)|clahe(-1)")
    assert len(caught.value.problems) == 3
