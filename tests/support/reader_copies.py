"""What tests of readers share: sizes of the synthetic copies, and words for complaints."""

from pathlib import Path

import pytest

from medpt.data import Record, open_dataset
from medpt.errors import InputError

SMALL = {
    "ChestXRay2017": {"train": 20, "test": 10, "size": 32},
    "CheXpert": {"train": 44, "test": 8, "size": 24},
    "MURA": {"train": 24, "test": 12, "size": 24},
    "ISIC2019": {"train": 40, "test": 2, "size": 24},
    "EyePACS": {"train": 12, "test": 2, "size": 32},
    "MESSIDOR": {"train": 12, "size": 32},
    "STARE-CLS": {"train": 18, "size": 32},
    "HRF": {"train": 6, "size": 40},
    "DRISHTI-GS": {"train": 3, "test": 2, "size": 48},
    "REFUGE-CLS": {"train": 6, "test": 4, "size": 48},
    "OCT2017": {"train": 24, "test": 8, "size": 32},
    "DRIVE": {"train": 3, "test": 2, "size": 40},
    "CHAOS-CT": {"train": 4, "test": 1, "size": 48},
    "CHAOS-MRI": {"train": 3, "test": 1, "size": 48},
    "LUNA": {"train": 5, "test": 1, "size": 48},
    "LUNA16": {"train": 6, "test": 2, "size": 40},
    "NIH-CT-82": {"train": 4, "test": 2, "size": 64},
    "CardiacMRI": {"train": 5, "size": 48},
    "TNBC": {"train": 13, "test": 3, "size": 48},
    "TCGA-LGG": {"train": 6, "test": 1, "size": 32},
    "TCGA-GBM": {"train": 6, "test": 1, "size": 32},
    "ADE20K": {"train": 36, "test": 12, "size": 24},
    "CIFAR-100": {"train": 20, "test": 10},
    "ImageNet": {"train": 20, "test": 10, "size": 24},
}


def spoil(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("copy", [name], indirect=True)


def problems(name: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(name, folder)
    return "\n".join(caught.value.problems)


def label(record: Record) -> int:
    assert record.label is not None
    return record.label
