"""Copies within a target, compared with every pair of hashes."""

from pathlib import Path

import made_space
import numpy as np
import pytest

from grid.report import shared_data
from grid.results.stored_space import StoredSpace
from medpt.data import leakage
from medpt.data.image_hash import turned
from medpt.data.leakage import LIMIT, Signatures
from medpt.data.manifest import MANIFEST


@pytest.fixture
def stored(tmp_path: Path) -> StoredSpace:
    plan = made_space.plan(tmp_path)
    return StoredSpace(plan, made_space.publish(plan, tmp_path / "out", set(), {}), [])


def slow_pairs(images: Signatures) -> set[tuple[str, str]]:
    """Compare each training image with each test image in eight positions, bit by bit."""
    found = set()
    for i in np.flatnonzero(images.splits == "train"):
        for j in np.flatnonzero(images.splits == "test"):
            forms = turned(images.near[j : j + 1]).reshape(8, -1)
            bits = [int(np.unpackbits(images.near[i] ^ form).sum()) for form in forms]
            if images.near[i].any() and images.near[j].any() and min(bits) <= LIMIT:
                found.add((str(images.ids[i]), str(images.ids[j])))
    return found


def test_copies_within_a_target_are_those_of_a_slow_comparison(stored: StoredSpace) -> None:
    found = {own.dataset: own for own in shared_data.own_copies(stored)}
    assert set(found) == {"DRIVE", "ChestXRay2017"}
    for name, own in found.items():
        digest = next(n for n, unit in stored.units.items() if getattr(unit.spec, "dataset", "") == name)
        images = leakage.read(stored.store.file(digest, MANIFEST).parent)
        assert set(own.pairs) == slow_pairs(images)
        assert own.pairs
        assert (own.train, own.test, own.patients) == (20, 10, 0)


def test_large_targets_are_named_and_not_compared(
    stored: StoredSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_data, "MOST_PAIRS", 100)
    assert {own.note for own in shared_data.own_copies(stored)} == {"copies not compared: too many images"}
