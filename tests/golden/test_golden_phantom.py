"""Synthetic datasets have the bytes that version 0.3.1 wrote, as their fingerprints enter all digests.

The data are written in a process without OpenCV's IPP and without AVX-512, whose results differ between
processors. The bytes hold for the OpenCV, Pillow and NumPy of requirements.lock; compressed files also
depend on the zlib of Python.
"""

from pathlib import Path

import pytest
from version_0_3_1 import dataset_names, pinned, tree_hash, write_synthetic_data

PHANTOM = pinned("phantom.json")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write every dataset once, in the smallest size that has all of its irregular files."""
    folder = tmp_path_factory.mktemp("phantom")
    write_synthetic_data({name: entry["sizes"] for name, entry in PHANTOM.items()}, folder)
    return folder


def test_datasets_are_all_pinned() -> None:
    assert dataset_names() == sorted(PHANTOM)


@pytest.mark.parametrize("name", PHANTOM)
def test_synthetic_dataset_keeps_its_bytes(written: Path, name: str) -> None:
    assert tree_hash(written / name) == PHANTOM[name]["tree"]
