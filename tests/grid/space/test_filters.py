from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.space.filters import parse_filters, select_trials
from grid.space.trials import Analysis, Settings, Space, Trial
from medpt.errors import InputError

TARGETS = st.sampled_from(["DRIVE", "STARE", "HRF"])
TRIALS = st.lists(
    st.builds(
        Trial,
        experiment=st.just("test"),
        initialization=st.sampled_from(["random", "ISIC2019"]),
        sample_size=st.none(),
        backbone=st.just("resnet18"),
        architecture=st.just("unet"),
        target=TARGETS,
        target_size=st.just(1.0),
        seed=st.integers(0, 2),
    ),
    min_size=1,
)


def space(trials: list[Trial]) -> Space:
    return Space("test", "a test", Path("test.yaml"), Settings(), tuple(trials), (Analysis("cmd"),))


def test_filters_collect_the_values_of_a_factor() -> None:
    assert parse_filters("target=DRIVE,seed=0,seed=1") == {"target": ("DRIVE",), "seed": ("0", "1")}


def test_spaces_around_conditions_are_ignored() -> None:
    assert parse_filters(" target=DRIVE, seed = 0 ") == {"target": ("DRIVE",), "seed": ("0",)}


def test_value_that_no_trial_has_is_refused_beside_others() -> None:
    trial = Trial("test", "random", None, "resnet18", "unet", "DRIVE", 1.0, 1)
    with pytest.raises(InputError, match="--filter target=DRVE: no trial has it; did you mean DRIVE"):
        select_trials(space([trial]), {"target": ("DRIVE", "DRVE")}, None)
    with pytest.raises(InputError, match="--filter seed=true: no trial has it"):  # which equals 1 in Python
        select_trials(space([trial]), {"seed": ("true",)}, None)
    assert select_trials(space([trial]), {"target_size": ("1", "1e0")}, None).trials == (trial,)


@pytest.mark.parametrize("text", ["colour=red", "seed", "", "target=DRIVE,"])
def test_filters_with_an_unknown_factor_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="use key=value with a key of initialization"):
        parse_filters(text)


@given(trials=TRIALS, targets=st.sets(TARGETS, min_size=1), limit=st.none() | st.integers(1, 5))
def test_selected_trials_are_the_first_that_match(
    trials: list[Trial], targets: set[str], limit: int | None
) -> None:
    matching = [trial for trial in trials if trial.target in targets and trial.seed == 0]
    filters = {"target": tuple(targets), "seed": ("0",)}
    if not matching or targets - {trial.target for trial in trials}:
        with pytest.raises(InputError, match=r"no trial has it|leaves none"):
            select_trials(space(trials), filters, limit)
        return
    selected = select_trials(space(trials), filters, limit)
    assert list(selected.trials) == matching[:limit]
    assert selected.analyses == ()


def test_value_that_no_trial_has_gets_a_suggestion() -> None:
    trial = Trial("test", "imagenet*", None, "resnet18", "unet", "DRIVE", 1.0, 0)
    with pytest.raises(InputError) as caught:
        select_trials(space([trial]), {"target": ("DRIVEE",), "initialization": ("imagenet",)}, None)
    assert "--filter target=DRIVEE: no trial has it; did you mean DRIVE" in caught.value.problems[1]
    assert "imagenet*" in caught.value.problems[2]


def test_space_without_filters_stays_as_it_is() -> None:
    whole = space([])
    assert select_trials(whole, {}, None) is whole
