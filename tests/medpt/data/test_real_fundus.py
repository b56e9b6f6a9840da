"""Readers of fundus photographs on real files: sizes, levels and anatomy that the original files have."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import open_dataset
from medpt.data.decode import opencv
from medpt.data.locate import locate
from medpt.data.readers import refuge_od, stare
from medpt.data.tables import sheet_rows, whole_number

pytestmark = pytest.mark.real


def test_eyepacs(real: Path) -> None:
    dataset = open_dataset("EyePACS", locate("EyePACS", real))
    found = {Path(r.image_path).stem: r.label for r in dataset}
    assert found == {
        "10_left": 0,
        "10_right": 0,
        "13_left": 0,
        "13_right": 0,
        "15_left": 1,
        "15_right": 2,
    }
    assert {r.patient_id for r in dataset} == {"10", "13", "15"}
    assert dataset.image(dataset.records[2]).shape == (1944, 2592, 3)


def test_hrf(real: Path) -> None:
    dataset = open_dataset("HRF", locate("HRF", real), classes=3)
    assert [r.patient_id for r in dataset] == ["HRF-01_dr", "HRF-01_g", "HRF-01_h"]
    for record in dataset:
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape == (2336, 3504, 3)
        assert mask.shape == (2336, 3504)
        share = np.bincount(mask.ravel(), minlength=3) / mask.size
        assert 0.05 < share[1] < 0.12  # vessels
        assert 0.1 < share[2] < 0.3  # beside the round field of view
        green = image[:, :, 1]
        assert green[mask == 2].mean() < 15 < green[mask == 1].mean() < green[mask == 0].mean()


@pytest.mark.parametrize("target", ["cup", "disc"])
def test_drishti(real: Path, target: str) -> None:
    dataset = open_dataset("DRISHTI-GS", locate("DRISHTI-GS", real), target=target)
    assert [(r.patient_id, r.split) for r in dataset] == [
        ("drishtiGS_002", "train"),
        ("drishtiGS_016", "train"),
        ("drishtiGS_001", "test"),
    ]
    assert [r.meta.get("disc_centre") for r in dataset] == [[840, 992], [950, 1069], None]
    sizes = [(1752, 2045), (1760, 2051), (1751, 2049)]
    for record, size in zip(dataset, sizes, strict=True):
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape == (*size, 3)
        assert mask.shape == size
        assert 0.008 < mask.mean() < 0.06
        around = (mask == 0) & (image.max(axis=2) > 40)
        assert image[mask == 1].mean() > 1.4 * image[around].mean()


def test_drishti_cup_lies_in_the_disc_as_the_publisher_measured(real: Path) -> None:
    """Vertical cup-to-disc ratio of the masks against the four experts' in cdrValues.txt."""
    cups, discs = (open_dataset("DRISHTI-GS", locate("DRISHTI-GS", real), target=t) for t in ("cup", "disc"))
    for cup, disc in zip(cups, discs, strict=True):
        inner, outer = cups.mask(cup) > 0, discs.mask(disc) > 0
        assert (inner & ~outer).sum() < 0.01 * inner.sum()
        heights = [np.ptp(np.nonzero(mask.any(axis=1))[0]) + 1 for mask in (inner, outer)]
        text = next(cups.root.rglob(f"{cup.patient_id}_cdrValues.txt")).read_text()
        experts = [float(word) for word in text.split()]
        assert min(experts) - 0.08 < heights[0] / heights[1] < max(experts) + 0.08


def test_stare_vessels(real: Path) -> None:
    dataset = open_dataset("STARE-SEG", real / "derived" / "STARE" / "gray_700x605")
    assert [r.patient_id[2:] for r in dataset] == [
        f"{n:04d}" for n in (1, 3, 5, 77, 82, 162, 235, 239, 255, 319)
    ]
    for record in dataset:
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape[:2] == mask.shape == (605, 700)
        assert 0.03 < mask.mean() < 0.15
        grey = image if image.ndim == 2 else image[:, :, 1]
        beside = opencv().dilate(mask, np.ones((9, 9), np.uint8)) > mask
        assert grey[mask == 1].mean() < grey[beside].mean() - 3


def test_stare_photographs_do_not_take_labels(real: Path) -> None:
    found = stare.photographs(real / "derived" / "STARE" / "gray_700x605")
    assert [len(folder) for folder in found] == [10]


def test_messidor_table_of_the_publisher(real: Path) -> None:
    """Headers of the published annotations, with their trailing blank, and what the cells hold."""
    problems: list[str] = []
    path = real / "derived" / "MESSIDOR" / "grades.xlsx"
    rows = list(sheet_rows(path, ("Image name", "Retinopathy grade", "Risk of macular edema"), problems))
    assert problems == []
    named = [row for _, row in rows if str(row["Image name"]).endswith(".tif")]
    assert len(named) == 32
    assert {whole_number(row["Retinopathy grade"]) for row in named} <= {0, 1, 2, 3}
    assert {whole_number(row["Risk of macular edema"]) for row in named} <= {0, 1, 2}
    assert named[2]["Ophthalmologic department"] == "Service Ophtalmologie Lariboisière"
    assert (named[2]["Retinopathy grade"], named[2]["Risk of macular edema"]) == (3, 1)


def test_refuge_masks_and_frames_in_the_official_tree(real: Path, tmp_path: Path) -> None:
    """Real disc crops as training set, real native frames as test images: masks count down from 255."""
    source = real / "derived" / "REFUGE" / "disc_roi_512"
    for name in ("g0001", "g0007", "n0011"):
        kind = "Glaucoma" if name.startswith("g") else "Non-Glaucoma"
        image = tmp_path / "Training400" / kind / f"{name}.jpg"
        mask = tmp_path / "Annotation-Training400" / "Disc_Cup_Masks" / kind / f"{name}.bmp"
        for path, inner in ((image, "image"), (mask, "mask")):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(source / inner / f"{name}.png").convert("RGB" if inner == "image" else "L").save(path)
    shutil.copytree(real / "derived" / "REFUGE" / "REFUGE-Test400", tmp_path / "Test400")
    dataset = open_dataset("REFUGE-OD", tmp_path)
    assert len(dataset) == 3
    for record in dataset:
        disc, crop = dataset.mask(record), dataset.image(record)
        assert 0.05 < disc.mean() < 0.6
        assert crop[disc == 1].mean() > crop[disc == 0].mean() + 20
        assert disc[256, 256] == 1  # crops are centred on the disc
    assert refuge_od.DISC < 255
