"""Data under classes in another order: what a class is called stays with its images, pixels and findings."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_sets import findings, shades, squares

from medpt.data.arrays import ArrayLoader, Loader
from medpt.data.class_order import with_classes
from medpt.data.dataset import IGNORE
from medpt.errors import InputError

ORDER = ("c", "a", "b")


def scanned(loader: Loader) -> torch.Tensor:
    ((_, targets),) = loader.scan(np.arange(6), 6)
    return targets


def test_labels_keep_the_names_of_their_classes() -> None:
    data = shades(12, classes=3)
    found = with_classes(data, ORDER)
    names = [data.index.classes[label] for label in data.index.labels]
    assert [ORDER[label] for label in found.index.labels] == names
    assert [ORDER[label] for label in scanned(found).tolist()] == names[:6]


def test_pixels_keep_the_names_of_their_classes_and_ignored_ones_stay() -> None:
    data = squares(8, classes=3, ignored=True)
    found = with_classes(data, ORDER)
    before, after = scanned(data), scanned(found)
    assert after.dtype == before.dtype == torch.uint8
    for name in ORDER:
        assert torch.equal(after == ORDER.index(name), before == data.index.classes.index(name))
    assert torch.equal(after == IGNORE, before == IGNORE)
    assert bool((after == IGNORE).any())
    counted = [np.bincount(mask[mask != IGNORE], minlength=3) for mask in after.numpy()]
    np.testing.assert_array_equal(found.index.pixels[:6], counted)  # type: ignore[index]


def test_findings_keep_their_columns() -> None:
    data = findings()
    found = with_classes(data, ("b", "a"))
    np.testing.assert_array_equal(found.index.labels, data.index.labels[:, ::-1])
    np.testing.assert_array_equal(scanned(found).numpy(), scanned(data).numpy()[:, ::-1])


def test_other_names_are_refused_with_both_lists() -> None:
    data = shades(12)
    other = ArrayLoader(replace(data.arrays, index=replace(data.index, classes=("a", "c"))))
    with pytest.raises(InputError, match="classes a, c; the network was fine-tuned on a, b"):
        with_classes(other, ("a", "b"))
