"""Each reader on the publishers' real files, where they are at hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medpt.data import open_dataset, preprocess
from medpt.data.decode import read_image
from medpt.data.locate import locate
from medpt.data.preprocess import default_pipeline
from medpt.data.readers.cifar100 import load
from medpt.errors import InputError

pytestmark = pytest.mark.real


def test_folders_are_found(real: Path) -> None:
    found = {
        name: locate(name, real).relative_to(real).as_posix()
        for name in ("DRIVE", "ISIC2019", "chaos_ct", "ade20k")
    }
    expected = ("official/DRIVE", "derived/ISIC2019", "official/CHAOS", "official/ADE20K")
    assert tuple(found.values()) == expected


def test_drive(real: Path) -> None:
    dataset = open_dataset("DRIVE", locate("DRIVE", real))
    assert Counter(r.split for r in dataset) == {"train": 14, "test": 14}
    for record in dataset:
        assert dataset.image(record).shape == (584, 565, 3)
        mask = dataset.mask(record)
        assert set(np.unique(mask)) == {0, 1}
        assert 0.05 < mask.mean() < 0.2
    image = dataset.image(dataset.records[0])
    vessels = dataset.mask(dataset.records[0]) > 0
    field = image.max(axis=2) > 40
    assert image[:, :, 1][vessels].mean() < image[:, :, 1][field & ~vessels].mean() - 5


def test_chaos(real: Path) -> None:
    dataset = open_dataset("CHAOS-CT", locate("CHAOS-CT", real))
    assert len(dataset) == 16
    assert {r.patient_id for r in dataset} == {"CT-3"}
    livers = [dataset.image(r)[dataset.mask(r) > 0] for r in dataset]
    assert 100 < np.median(np.concatenate(livers)) < 180
    assert dataset.image(dataset.records[0]).shape == (512, 512)


def test_isic(real: Path) -> None:
    dataset = open_dataset("ISIC2019", locate("ISIC2019", real))
    assert Counter(r.label for r in dataset) == dict.fromkeys(range(8), 12)
    assert all(dataset.image(r).shape == (224, 224, 3) for r in dataset)


def test_chest(real: Path) -> None:
    dataset = open_dataset("ChestXRay2017", locate("ChestXRay2017", real))
    assert Counter((r.image_path.split("/")[0], r.label) for r in dataset) == {
        ("train", 0): 24,
        ("train", 1): 24,
        ("val", 0): 4,
        ("val", 1): 4,
    }
    assert {r.split for r in dataset} == {"train"}
    assert all(dataset.image(r).ndim == 2 for r in dataset.records[::8])
    test = open_dataset("ChestXRay2017", real / "derived" / "ChestXRay2017-test-224")
    assert Counter(r.label for r in test) == {0: 30, 1: 30}
    assert {r.split for r in test} == {"test"}


def test_ade_masks_name_what_is_seen(real: Path) -> None:
    folder = locate("ADE20K-Seg", real)
    dataset = open_dataset("ADE20K-Seg", folder)
    assert Counter(r.split for r in dataset) == {"train": 1, "test": 2}
    rows = (dataset.root / "objectInfo150.txt").read_text().splitlines()[1:]
    assert dataset.info.classes == tuple(row.split("\t")[4].split(",")[0].strip() for row in rows)
    for record in dataset:
        mask = dataset.mask(record)
        assert mask.shape == dataset.image(record).shape[:2]
        assert (mask == 255).mean() < 0.2
    with pytest.raises(InputError, match=r"sceneCategories\.txt: no such file"):
        open_dataset("ADE20K", folder)


def test_imagenet(real: Path) -> None:
    dataset = open_dataset("ImageNet", locate("ImageNet", real))
    assert (len(dataset), len(dataset.info.classes)) == (100, 1000)
    labels = {Path(r.image_path).stem.split("_", 1)[1]: r.label for r in dataset}
    assert (labels["tiger_shark"], labels["goldfinch"]) == (3, 11)  # torchvision's order


def test_cifar_pickles_of_the_ten_classes_open_without_running_code(real: Path) -> None:
    folder = real / "official" / "CIFAR10" / "cifar-10-batches-py"
    batch = load(folder / "data_batch_1")
    assert batch["data"].shape[1] == 3072
    assert batch["data"].dtype == np.uint8
    assert "label_names" in load(folder / "batches.meta")


def test_every_real_picture_decodes_and_is_preprocessed(real: Path) -> None:
    for name in ("DRIVE", "ISIC2019", "CHAOS-CT", "ChestXRay2017", "ADE20K-Seg", "ImageNet"):
        dataset = open_dataset(name, locate(name, real))
        pipeline = default_pipeline(dataset.info.modality)
        for record in dataset.records[::9]:
            found = preprocess(dataset.image(record), pipeline)
            assert found.shape == (256, 256, 3)
            assert found.std() > 5
    assert read_image(next((real / "official" / "HRF" / "images").iterdir())).shape == (2336, 3504, 3)
