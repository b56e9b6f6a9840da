"""Readers of histology on synthetic copies: every trap, and every complaint."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from reader_copies import problems, spoil

from medpt.data import open_dataset


def test_tnbc_is_breast_without_alpha(copies: Path) -> None:
    dataset = open_dataset("TNBC", copies / "TNBC")
    assert len(dataset) == 13
    assert Counter(r.patient_id for r in dataset)["Slide_01"] == 2
    assert {r.patient_id for r in dataset} == {f"Slide_{n:02d}" for n in range(1, 12)}
    assert "3 tiles of slides above 11 left out: brain" in dataset.remarks[0]
    for record in dataset:
        assert Image.open(dataset.root / record.image_path).mode == "RGBA"
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape == (48, 48, 3)
        assert image[mask == 1].mean() < image[mask == 0].mean() - 30


@spoil("TNBC")
def test_tnbc_masks_of_any_level_and_complaints(copy: Path) -> None:
    top = copy / "TNBC_NucleiSegmentation"
    mask = np.array(Image.open(top / "GT_02" / "02_1.png"))
    Image.fromarray(mask // 255).save(top / "GT_02" / "02_1.png")
    dataset = open_dataset("TNBC", copy)
    record = next(r for r in dataset if r.image_path.endswith("02_1.png"))
    assert np.array_equal(dataset.mask(record), mask > 0)
    (top / "GT_01" / "01_2.png").unlink()
    (top / "Slide_03" / "03_1.png").unlink()
    shutil.rmtree(top / "GT_04")
    text = problems("TNBC", copy)
    assert "01_2.png: no mask 01_2.png in GT_01" in text
    assert "03_1.png: no tile 03_1.png in Slide_03" in text
    assert "04_1.png: no mask 04_1.png in GT_04" in text
