"""The language of pipelines: one spelling, and every mistake reported."""

import numpy as np
import pytest

from medpt.data.catalog import card, names
from medpt.data.preprocess import FIRST, canonical, default_pipeline, output_size, pipeline_of, preprocess
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


def test_only_lungs_and_turned_scans_have_a_pipeline_of_their_own() -> None:
    cards = {name: card(name) for name in names()}
    own = {name: pipeline_of(info, 128) for name, info in cards.items() if info.pipeline}
    assert own == {
        "LUNA": "window(-1200,600)|resize(128)|clahe(2,8)",
        "LUNA16": "window(-1200,600)|resize(128)|clahe(2,8)",
        "OCT2017": "crop_white(250)|resize(128)|clahe(2,8)",
    }
    for name, info in cards.items():
        assert name in own or pipeline_of(info, 128) == default_pipeline(info.modality, 128)


def test_lungs_are_distinguished_from_the_air_around_by_their_window_alone() -> None:
    units = np.repeat(np.array([[-1000, -850], [40, -1000]], np.int16), 32, 0).repeat(32, 1)
    lungs, abdomen = (
        preprocess(units, pipeline.replace("|clahe(2,8)", ""))[::63, ::63, 0]
        for pipeline in (pipeline_of(card("LUNA"), 64), default_pipeline("ct", 64))
    )
    assert lungs.tolist() == [[28, 50], [176, 28]]
    assert abdomen.tolist() == [[0, 0], [128, 0]]


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
