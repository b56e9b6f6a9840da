"""Batches of a loader against their definition: each image under each transform once, wherever they start."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medpt.data.arrays import ArrayLoader, Arrays, Loader
from medpt.data.augment import dihedral
from medpt.data.manifest import Index
from medpt.errors import InputError

TASKS = ["classification", "segmentation"]


def toy_arrays(count: int, task: str = "segmentation") -> Arrays:
    """Pixels and labels that say their row; masks that say their place."""
    names = np.array([f"{row:03d}" for row in range(count)])
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 4, 4, 3)).copy()
    images[..., 1] = np.arange(16).reshape(4, 4)
    targets = images[..., 1] if task == "segmentation" else np.arange(count)
    index = Index("Toy", task, "natural", ("a", "b"), 4, names, names, names, np.arange(count), None)
    return Arrays(index, images, targets)


def _drawn(batch) -> list[tuple[int, int]]:
    images, _, transforms = batch
    return list(zip(images[:, 0, 0, 0].tolist(), transforms.tolist(), strict=True))


CASES = given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**40),
    augment=st.booleans(),
    start=st.integers(0, 60),
)


@CASES
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_epoch_is_each_image_under_each_transform_once(count, batch_size, seed, augment, start):
    loader, rows = ArrayLoader(toy_arrays(13)), np.arange(1, count + 1)
    expanded = count * (8 if augment else 1)
    steps = loader.steps_per_epoch(rows, batch_size, augment)
    assert steps == max(1, expanded // batch_size)
    epoch = start // steps
    seen = Counter()
    for batch in islice(loader.batches(rows, batch_size, seed, epoch * steps, augment), steps):
        assert len(batch[0]) == min(batch_size, expanded)
        seen.update(_drawn(batch))
    assert set(seen.values()) == {1}
    assert set(seen) <= {(row, t) for row in rows for t in range(8 if augment else 1)}
    assert sum(seen.values()) == min(steps * batch_size, expanded)


@CASES
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_batch_is_the_same_wherever_the_iteration_began(count, batch_size, seed, augment, start):
    loader, rows = ArrayLoader(toy_arrays(12)), np.arange(count)
    through = islice(loader.batches(rows, batch_size, seed, 0, augment), start, start + 3)
    for one, two in zip(through, loader.batches(rows, batch_size, seed, start, augment), strict=False):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_seeds_and_epochs_have_orders_of_their_own():
    loader, rows = ArrayLoader(toy_arrays(16)), np.arange(16)
    orders = [_drawn(next(loader.batches(rows, 128, seed, start))) for seed in (0, 1) for start in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1


@pytest.mark.parametrize("task", TASKS)
def test_targets_belong_to_their_images(task):
    loader: Loader = ArrayLoader(toy_arrays(9, task))
    for images, targets, transforms in islice(loader.batches(np.arange(9), 6, 0), 24):
        assert (images.dtype, transforms.dtype) == (torch.uint8, torch.int64)
        assert images.shape == (6, 4, 4, 3)
        if task == "classification":
            assert targets.dtype == torch.int64
            assert torch.equal(images[:, 0, 0, 0].long(), targets)
        else:
            assert targets.dtype == torch.uint8
            turned = dihedral(images.permute(0, 3, 1, 2), transforms)
            assert torch.equal(turned[:, 1], dihedral(targets, transforms))


def test_scan_gives_each_row_once_in_the_given_order():
    rows = np.array([5, 1, 8, 0, 3])
    batches = list(ArrayLoader(toy_arrays(9, "classification")).scan(rows, 2))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.cat([targets for _, targets in batches]).tolist() == rows.tolist()
    assert torch.cat([images[:, 0, 0, 0] for images, _ in batches]).tolist() == rows.tolist()
    assert list(ArrayLoader(toy_arrays(9)).scan(np.arange(0), 2)) == []


def test_batches_may_be_changed_without_changing_the_set():
    loader = ArrayLoader(toy_arrays(4))
    for images, targets in loader.scan(np.arange(4), 4):
        images.zero_()
        targets.zero_()
    assert loader.arrays.images[3].any()
    assert loader.arrays.targets[3].any()


@pytest.mark.parametrize("row", [-1, 9])
def test_rows_that_are_not_there(row):
    loader = ArrayLoader(toy_arrays(9))
    with pytest.raises(IndexError):
        next(loader.batches(np.array([0, row]), 2, 0))
    with pytest.raises(IndexError):
        next(loader.scan(np.array([0, row]), 2))


def test_batches_without_rows_are_refused():
    with pytest.raises(InputError, match="Toy: no images"):
        next(ArrayLoader(toy_arrays(9)).batches(np.arange(0), 2, 0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("free", [0, 1 << 30])
def test_same_batches_from_a_gpu_whether_the_set_fits_or_not(monkeypatch, task, free):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    here, there = (ArrayLoader(toy_arrays(9, task), device) for device in ("cpu", "cuda"))
    for one, two in islice(
        zip(here.batches(np.arange(9), 4, 0), there.batches(np.arange(9), 4, 0), strict=True), 40
    ):
        assert all(tensor.is_cuda for tensor in two)
        assert all(torch.equal(a, b.cpu()) for a, b in zip(one, two, strict=True))
    assert (there._resident is None) == (free == 0)
