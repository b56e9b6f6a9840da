"""What a source shares with a target: found as by comparing every pair, and then not trained on."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import toy_data
from hypothesis import given, settings
from hypothesis import strategies as st

from medpt.data import image_hash, leakage
from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.catalog import card
from medpt.data.leakage import LIMIT, Signatures
from medpt.data.manifest import Index
from medpt.errors import InputError


def names(count: int, seed: int, likely: float = 0.5) -> np.ndarray:
    """Near names (N, 32); with `likely` far from one half all of them resemble each other."""
    bits = np.random.default_rng(seed).random((count, 256)) < likely
    bits[:, 0] = False
    return np.packbits(bits, axis=1)


def altered(name: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The name with `count` bits flipped."""
    bits = np.unpackbits(name)
    bits[1 + np.random.default_rng(seed).choice(255, count, replace=False)] ^= 1
    return np.packbits(bits)


def naive(source: np.ndarray, target: np.ndarray, limit: int) -> dict[int, tuple[int, int]]:
    found = {}
    for row, name in enumerate(source):
        pairs = [
            (int(np.unpackbits(name ^ other).sum()), place)
            for place, other in enumerate(target)
            if other.any() and name.any()
        ]
        if pairs and min(pairs)[0] <= limit:
            distance, place = min(pairs)
            found[row] = (place, distance)
    return found


@pytest.fixture(params=["chunks", "all pairs"])
def search(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of searching, whatever the sizes are, in blocks of few pairs."""
    monkeypatch.setattr(leakage, "LOOKUP", 0 if request.param == "chunks" else 10**9)
    monkeypatch.setattr(leakage, "BLOCK", 64)
    return str(request.param)


@pytest.mark.parametrize("likely", [0.5, 0.06])
@pytest.mark.parametrize("limit", [0, 7, 31])
def test_closest_are_those_of_comparing_every_pair(search: str, limit: int, likely: float) -> None:
    target = names(23, 1, likely)
    planted = [altered(target[n % 23], bits, bits) for n, bits in enumerate((0, 1, 7, 8, 30, 31, 32))]
    source = np.concatenate([names(30, 2, likely), planted, np.zeros((1, 32), np.uint8)])
    target = np.concatenate([np.zeros((2, 32), np.uint8), target, target[:1]])
    assert leakage.closest(source, target, limit) == naive(source, target, limit)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40))
def test_search_finds_every_name_within_the_limit(seed: int, bits: int) -> None:
    """The worst case of the chunks: the flipped bits are spread over all of them."""
    target = names(50, seed)
    chunks, inside = np.divmod(np.arange(bits), 16)[::-1]
    unpacked = np.unpackbits(target[17])
    unpacked[16 * chunks + (seed + 5 * inside) % 15 + 1] ^= 1
    source = np.packbits(unpacked)[None]
    assert leakage.closest(source, target, LIMIT) == naive(source, target, LIMIT)


def test_two_bits_in_every_chunk_are_reported_to_be_out_of_reach() -> None:
    with pytest.raises(ValueError, match="limit 32"):
        leakage.closest(names(2, 0), names(2, 1), 32)
    assert (
        leakage.closest(names(0, 0), names(5, 1), 31) == leakage.closest(names(5, 0), names(0, 1), 31) == {}
    )


def signatures(
    dataset: str, near: np.ndarray, splits: list[str] | None = None, groups: list[str] | None = None
) -> Signatures:
    """Exact names follow from the near ones; ids are DATASET-0, DATASET-1, ..."""
    count = len(near)
    return Signatures(
        dataset,
        "fundus",
        ids=np.array([f"{dataset}-{n}" for n in range(count)]),
        splits=np.array(splits or ["train"] * count),
        groups=np.array(groups or [f"{dataset}-p{n}" for n in range(count)]),
        exact=np.frombuffer(near.tobytes(), "V32"),
        near=near,
    )


def described(found: list[leakage.Leak]) -> list[tuple[str, str, str]]:
    return [(leak.id, leak.kind, leak.match) for leak in found]


def test_each_leak_is_reported_once_by_its_surest_kind() -> None:
    target = signatures("DRIVE", names(6, 1), ["train"] * 3 + ["test"] * 3)
    source = names(8, 2)
    source[1] = target.near[5]  # identical
    source[3] = altered(target.near[0], 20, 3)
    source[4] = image_hash.turned(altered(target.near[4], 9, 4)[None])[6, 0]
    source[6] = altered(target.near[2], 60, 5)
    found = leakage.find(signatures("EyePACS", source), target)
    assert described(found) == [
        ("EyePACS-1", "identical", "DRIVE-5"),
        ("EyePACS-3", "near", "DRIVE-0"),
        ("EyePACS-4", "near", "DRIVE-4"),
    ]
    assert [(leak.distance, leak.turned) for leak in found] == [(0, 0), (20, 0), (9, 6)]
    assert {(leak.source, leak.target) for leak in found} == {("EyePACS", "DRIVE")}


def test_test_images_of_the_source_are_not_looked_for() -> None:
    near = names(4, 1)
    source = signatures("EyePACS", near, ["train", "test", "test", "train"])
    assert [leak.id for leak in leakage.find(source, signatures("DRIVE", near))] == ["EyePACS-0", "EyePACS-3"]


def test_in_one_release_only_the_test_set_is_guarded_and_patients_count() -> None:
    near = names(5, 1)
    source = signatures("STARE-CLS", near, groups=list("abcde"))
    target = signatures("STARE-SEG", near, ["train", "test", "train", "train", "test"], list("abXYd"))
    target = target.part(np.arange(5))
    assert described(leakage.find(source, target)) == [
        ("STARE-CLS-1", "identical", "STARE-SEG-1"),
        ("STARE-CLS-3", "patient", "d"),
        ("STARE-CLS-4", "identical", "STARE-SEG-4"),
    ]
    elsewhere = signatures("DRIVE", names(5, 9), groups=list("abcde"))
    assert leakage.find(source, elsewhere) == []


def test_dataset_s_own_training_set_is_no_leak() -> None:
    near = names(6, 1)
    near[5] = altered(near[0], 3, 3)
    parts = ["train"] * 4 + ["test"] * 2
    own = signatures("DRIVE", near, parts)
    assert described(leakage.find(own, own)) == [("DRIVE-0", "near", "DRIVE-5")]


def test_complete_source_loses_every_image_and_patient_that_its_own_target_tests() -> None:
    near, groups = names(6, 1), list("aabbcd")
    near[4] = 0  # an image without structure, which its patient's name tells
    target = signatures("DRIVE", near, ["train", "train", "test", "test", "test", "train"], groups)
    found = leakage.find(signatures("DRIVE", near, groups=groups), target)
    assert {leak.id for leak in found} == {"DRIVE-2", "DRIVE-3", "DRIVE-4"}


def test_images_without_structure_and_other_modalities_leak_nothing() -> None:
    black = signatures("EyePACS", np.zeros((3, 32), np.uint8))
    assert leakage.find(black, signatures("DRIVE", np.zeros((3, 32), np.uint8))) == []
    near = names(3, 1)
    other = signatures("ChestXRay2017", near)
    assert leakage.find(signatures("EyePACS", near), Signatures(**{**vars(other), "modality": "x-ray"})) == []


@pytest.mark.parametrize(
    ("sources", "target", "answer"),
    [
        (("EyePACS",), "DRIVE", True),
        (("CheXpert", "EyePACS"), "MESSIDOR", True),
        (("ISIC2019", "CHAOS-CT"), "DRIVE", False),
        (("CHAOS-CT",), "CardiacMRI", False),
        (("ImageNet",), "CIFAR-100", True),
        ((), "DRIVE", False),
    ],
)
def test_only_one_modality_can_share_images(sources: tuple[str, ...], target: str, answer: bool) -> None:
    assert leakage.comparable([card(name) for name in sources], card(target)) is answer


def test_datasets_that_are_published_together() -> None:
    assert leakage.one_release("STARE-CLS", "STARE-SEG")
    assert leakage.one_release("REFUGE-CLS", "REFUGE-OD")
    assert leakage.one_release("DRIVE", "DRIVE")
    assert not leakage.one_release("EyePACS", "MESSIDOR")
    assert not leakage.one_release("STARE-SEG", "DRIVE")
    assert not leakage.one_release("A user's", "DRIVE")
    assert leakage.one_release("A user's", "A user's")


def test_signatures_are_read_from_a_prepared_folder(tmp_path: Path) -> None:
    data = toy_data.dataset("classification")
    toy_data.prepare(tmp_path, data)
    found = leakage.read(tmp_path)
    images = [data.image(one) for one in sorted(data, key=lambda one: one.id)]
    assert found.ids.tolist() == sorted(one.id for one in data)
    assert found.near.tobytes() == b"".join(map(image_hash.perceptual_hash, images))
    assert found.exact.tobytes() == b"".join(map(image_hash.exact_hash, images))
    assert (found.splits == "test").sum() == 6


def loader() -> ArrayLoader:
    """Eight images, image n all of value n; six of them to train on."""
    ids = np.array([f"EyePACS-{n}" for n in range(8)])
    splits = np.array(["train"] * 6 + ["test"] * 2)
    index = Index(
        *("EyePACS", "classification", "fundus", ("a", "b"), 4), ids, splits, ids, np.arange(8) % 2, None
    )
    images = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None, None], (8, 4, 4, 3)).copy()
    return ArrayLoader(Arrays(index, images, np.arange(8) % 2))


def test_leaking_images_are_never_drawn() -> None:
    whole = loader()
    found = leakage.find(signatures("EyePACS", names(6, 1)), signatures("DRIVE", names(3, 1)))
    assert [leak.id for leak in found] == ["EyePACS-0", "EyePACS-1", "EyePACS-2"]
    trimmed = leakage.FilteredLoader(whole, leakage.without_leaks(found, whole.index))
    rows = trimmed.index.rows("train")
    assert rows.tolist() == [3, 4, 5]
    assert trimmed.index.rows("test").tolist() == [6, 7]
    assert trimmed.index.rows(leakage.EXCLUDED).tolist() == [0, 1, 2]
    steps = trimmed.steps_per_epoch(rows, 4)
    drawn = [images for images, _, _ in islice(trimmed.batches(rows, 4, 0), steps)]
    assert {int(image.max()) for images in drawn for image in images} == {3, 4, 5}
    assert [int(image.max()) for images, _ in trimmed.scan(rows, 2) for image in images] == [3, 4, 5]


def test_other_datasets_leaks_stay_with_them_and_nothing_left_is_an_error() -> None:
    index = loader().index
    others = leakage.find(signatures("MESSIDOR", names(6, 1)), signatures("DRIVE", names(3, 1)))
    assert len(others) == 3
    assert leakage.without_leaks(others, index).splits.tolist() == index.splits.tolist()
    everything = leakage.find(signatures("EyePACS", names(6, 1)), signatures("DRIVE", names(6, 1)))
    with pytest.raises(InputError, match="EyePACS: each of its training images is also an image of DRIVE"):
        leakage.without_leaks(everything, index)


def test_external_images_that_were_trained_on_are_found_whatever_their_split(tmp_path: Path) -> None:
    for name in ("trained", "tested"):
        toy_data.prepare(tmp_path / name, toy_data.dataset("classification"))
    trained, tested = (leakage.read(tmp_path / name) for name in ("trained", "tested"))
    tested = replace(tested, dataset="Other", groups=np.char.add("o", tested.groups))
    known = {leak.id for leak in leakage.find_tested(tested, trained)}
    assert known == set(trained.ids[trained.splits == "train"].tolist())
