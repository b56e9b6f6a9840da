import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpt.errors import InputError
from medpt.survival.split import folds, split_patients
from medpt.survival.study import TEST, TRAIN, VALIDATION


def cohort(seed: int, n: int = 200) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    event = rng.random(n) < rng.uniform(0.35, 0.8)
    return [f"patient-{k:04}" for k in range(n)], rng.exponential(700, n) + 1, event


@given(st.integers(0, 10_000), st.integers(100, 400))
def test_each_part_has_its_share_of_patients_and_of_deaths(seed: int, n: int) -> None:
    patients, time, event = cohort(seed, n)
    split = split_patients(patients, time, event, seed)
    tested = round(0.2 * n)
    sizes = {TEST: tested, VALIDATION: round(0.1 * (n - tested))}
    sizes[TRAIN] = n - sum(sizes.values())
    for number, size in sizes.items():
        assert (split == number).sum() == size
        assert abs(event[split == number].sum() - event.mean() * size) < 2


def test_tertiles_of_time_are_shared_out_among_the_dead_and_the_censored() -> None:
    patients, time, event = cohort(3, 600)
    split = split_patients(patients, time, event, 0)
    thirds = np.searchsorted(np.quantile(time, (1 / 3, 2 / 3)), time)
    for third in range(3):
        for died in (True, False):
            cell = (thirds == third) & (event == died)
            assert abs((split[cell] == TEST).sum() - 0.2 * cell.sum()) <= 2


def test_order_of_the_patients_does_not_matter_and_the_seed_does() -> None:
    patients, time, event = cohort(1)
    split, order = split_patients(patients, time, event, 5), np.random.default_rng(0).permutation(200)
    turned = split_patients([patients[k] for k in order], time[order], event[order], 5)
    assert (turned == split[order]).all()
    assert (split_patients(patients, time, event, 6) != split).any()


@given(st.integers(0, 10_000), st.integers(10, 120))
def test_folds_share_out_patients_and_deaths(seed: int, n: int) -> None:
    _, time, event = cohort(seed, n)
    fold = folds(time, event, 5, seed)
    assert np.ptp(np.bincount(fold, minlength=5)) <= 1
    assert np.ptp(np.bincount(fold, weights=event, minlength=5)) <= 1


def test_part_that_is_all_censored_is_refused_with_words() -> None:
    patients, time, _ = cohort(1, 40)
    with pytest.raises(InputError) as error:
        split_patients(patients, time, np.arange(40) == time.argmin(), 0)
    assert len(error.value.problems) == 2
    assert "(1 of 40 died)" in str(error.value)
    with pytest.raises(InputError, match="validation set: all of its 3 patients"):
        split_patients(patients, time, np.zeros(40, dtype=bool), 0)


def test_every_bad_patient_is_named() -> None:
    patients, time, event = cohort(1, 40)
    time[[3, 7]] = 0, np.nan
    with pytest.raises(InputError) as error:
        split_patients(["patient-0001", *patients[1:]], time, event, 0)
    assert [problem.split("'")[1][-4:] for problem in error.value.problems] == ["0001", "0003", "0007"]
