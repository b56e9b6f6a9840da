"""Splits against their definition: nobody on two sides, classes at their share, nothing from file order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_data import record

from medpt.data import splits
from medpt.errors import InputError

SEEDS = st.integers(0, 2**31)
# (patient, class) of each image
IMAGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=120)
PAIRS = IMAGES.filter(lambda images: len(images) > 1)
MANY = IMAGES.filter(lambda images: len({patient for patient, _ in images}) > 1)


def _records(images):
    return [record(n, label=label, group=f"g{patient}") for n, (patient, label) in enumerate(images)]


def _arrays(images):
    return np.array([label for _, label in images]), [f"g{patient}" for patient, _ in images]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=150), SEEDS)
def test_every_prefix_of_the_stratified_order_has_each_class_at_its_share(classes, seed):
    order = splits.stratified_order(np.array(classes), np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(classes)))
    sizes, seen, total = Counter(classes), Counter(), len(classes)
    for length, item in enumerate(order, start=1):
        seen[classes[item]] += 1
        for kind, size in sizes.items():
            assert length * size // total <= seen[kind] <= -(-length * size // total)


def test_order_is_random_within_a_class():
    classes = np.zeros(50, dtype=int)
    first, again, other = (splits.stratified_order(classes, np.random.default_rng(s)) for s in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert (first != np.arange(50)).any()


@given(MANY, SEEDS, st.floats(0.05, 0.95))
def test_random_split_is_disjoint_by_group_at_its_share_and_stratified(images, seed, fraction):
    records = _records(images)
    parts = splits.assign(records, "random", seed, fraction)
    classes: dict[str, int] = {}
    for one in records:
        classes[one.group_id] = max(classes.get(one.group_id, 0), one.label)
    tested = {one.group_id for one, part in zip(records, parts, strict=True) if part == "test"}
    trained = {one.group_id for one, part in zip(records, parts, strict=True) if part == "train"}
    assert not tested & trained
    assert len(tested) == min(len(classes) - 1, max(1, int(fraction * len(classes) + 0.5)))
    for kind, size in Counter(classes.values()).items():
        expected = size * len(tested) / len(classes)
        assert abs(sum(classes[group] == kind for group in tested) - expected) < 1


@given(MANY, SEEDS, st.randoms())
def test_random_split_does_not_depend_on_the_order_of_files(images, seed, random):
    records = _records(images)
    shuffled = random.sample(records, len(records))
    by_id = {one.id: part for one, part in zip(records, splits.assign(records, "random", seed), strict=True)}
    again = {
        one.id: part for one, part in zip(shuffled, splits.assign(shuffled, "random", seed), strict=True)
    }
    assert again == by_id


def test_random_split_of_masks_needs_no_labels_and_depends_on_the_seed():
    records = [record(number) for number in range(100)]
    parts = splits.assign(records, "random", 0)
    assert Counter(parts) == {"train": 80, "test": 20}
    assert parts != splits.assign(records, "random", 1)


def test_one_patient_cannot_be_split():
    with pytest.raises(InputError, match="two groups"):
        splits.assign([record(0, group="a"), record(1, group="a")], "random", 0)


def test_official_split_is_taken_as_it_is_and_its_leaks_are_reported():
    records = [
        record(n, label=0, split=part, group="ab"[n // 2]) for n, part in enumerate(["train"] * 3 + ["test"])
    ]
    parts = splits.assign(records, "official", 0)
    assert parts == ["train", "train", "train", "test"]
    assert splits.shared_groups([one.group_id for one in records], parts) == ["b"]


@pytest.mark.parametrize(
    ("given_parts", "messages"),
    [
        (
            ["train", None],
            ["1 of 2 records have no official split, first images/001.png", "no record is in the test"],
        ),
        (["train", "train"], ["no record is in the test set"]),
        (["test", "test"], ["no record is in the training set"]),
    ],
)
def test_incomplete_official_split_is_refused_with_the_way_out(given_parts, messages):
    records = [record(number, label=0, split=part) for number, part in enumerate(given_parts)]
    with pytest.raises(InputError) as caught:
        splits.assign(records, "official", 0)
    assert len(caught.value.problems) == len(messages)
    for text, problem in zip(messages, caught.value.problems, strict=True):
        assert text in problem
        assert "`split: random`" in problem


def test_unknown_policy():
    with pytest.raises(InputError, match="'rnd' is not known; accepted: official, random, all"):
        splits.assign([record(0)], "rnd", 0)


@given(MANY, SEEDS, st.floats(0.01, 0.99), st.booleans())
def test_validation_is_disjoint_by_group_and_never_empty(images, seed, fraction, stratified):
    labels, groups = _arrays(images)
    trained, validated = splits.validation(labels if stratified else None, groups, fraction, seed)
    assert sorted([*trained, *validated]) == list(range(len(groups)))
    assert len(trained) > 0
    assert len(validated) > 0
    assert not {groups[row] for row in trained} & {groups[row] for row in validated}


def test_validation_is_stratified_by_the_highest_label_of_a_group():
    groups = [f"g{n // 2:02d}" for n in range(80)]
    labels = np.array([0, 1] * 10 + [0, 0] * 30)
    _, validated = splits.validation(labels, groups, 0.2, 0)
    assert Counter(labels[validated].tolist()) == {0: 14, 1: 2}  # 2 of 10 groups with a 1, 6 of 30 without


@pytest.mark.parametrize(("groups", "fraction"), [(["a", "b"], 0.0), (["a", "a", "a"], 0.5)])
def test_nothing_to_validate(groups, fraction):
    trained, validated = splits.validation(None, groups, fraction, 0)
    assert trained.tolist() == list(range(len(groups)))
    assert validated.tolist() == []


@given(PAIRS, SEEDS, st.data(), st.booleans())
def test_subsets_are_nested(images, seed, data, labelled):
    labels, groups = _arrays(images)
    labels = labels if labelled else None
    small, large = sorted(data.draw(st.lists(st.integers(2, len(groups)), min_size=2, max_size=2)))
    less, more = (splits.subset(labels, groups, size, seed) for size in (small, large))
    assert set(less) <= set(more)
    assert (np.diff(more) > 0).all()


@given(PAIRS, SEEDS, st.data())
def test_labelled_subset_is_exact_and_stratified(images, seed, data):
    labels, groups = _arrays(images)
    size = data.draw(st.integers(2, len(groups)))
    chosen = labels[splits.subset(labels, groups, size, seed)]
    assert len(chosen) == size
    for kind, number in Counter(labels.tolist()).items():
        assert abs((chosen == kind).sum() - size * number / len(labels)) < 1


@given(PAIRS, SEEDS, st.data())
def test_subset_without_labels_takes_whole_groups_until_it_reaches_the_size(images, seed, data):
    _, groups = _arrays(images)
    size = data.draw(st.integers(2, len(groups)))
    chosen = set(splits.subset(None, groups, size, seed))
    inside = Counter(groups[row] for row in chosen)
    assert all(inside[group] == Counter(groups)[group] for group in inside)
    assert len(chosen) >= size
    last = groups[[row for row in splits.nested_order(None, groups, seed) if row in chosen][-1]]
    assert len(chosen) - inside[last] < size


def test_sizes_up_to_one_are_fractions_however_json_spells_them():
    labels, groups = np.arange(40) % 2, [f"g{n}" for n in range(40)]
    assert len(splits.subset(labels, groups, 0.25, 0)) == 10
    assert len(splits.subset(labels, groups, 1, 0)) == len(splits.subset(labels, groups, 1.0, 0)) == 40
    assert len(splits.subset(labels, groups, 0.001, 0)) == 1
    assert set(splits.subset(labels, groups, 0.5, 0)) == set(splits.subset(labels, groups, 20, 0))


@pytest.mark.parametrize("size", [0, -1, -0.5, 2.5, 41, float("nan")])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(InputError, match="accepted: a fraction in"):
        splits.subset(None, [f"g{n}" for n in range(40)], size, 0)


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, float("nan")])] * 4), min_size=1, max_size=30))
def test_stratum_of_findings_is_the_rarest_one_that_the_image_has(rows):
    counts = [sum(row[k] == 1 for row in rows) for k in range(4)]
    expected = [min(((counts[k], k + 1) for k in range(4) if row[k] == 1), default=(0, 0))[1] for row in rows]
    assert splits.strata(np.array(rows)).tolist() == expected


def test_validation_takes_groups_until_it_has_two_classes():
    labels, groups = np.array([0] * 18 + [1, 1]), [f"p{n}" for n in range(20)]
    for seed in range(20):
        train, val = splits.validation(labels, groups, 0.1, seed, two_classes=True)
        assert len(val) >= 2
        assert set(labels[val]) == set(labels[train]) == {0, 1}
