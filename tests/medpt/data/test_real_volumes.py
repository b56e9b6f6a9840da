"""Readers of volumes and tissue on real pictures, in the publishers' layouts where they were converted."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpt.data import open_dataset
from medpt.data.locate import locate
from medpt.data.readers import tcga
from medpt.data.readers.tcga_tables import GBM_SITES
from medpt.errors import InputError
from medpt.phantom.dicom import computed

pytestmark = pytest.mark.real


def test_tnbc(real: Path, tmp_path: Path) -> None:
    for n, path in enumerate(sorted((real / "derived" / "TNBC" / "images").iterdir()), 1):
        for kind, source in (("Slide", path), ("GT", path.parents[1] / "masks" / path.name)):
            target = tmp_path / f"{kind}_{n:02d}" / f"{n:02d}_1.png"
            target.parent.mkdir()
            shutil.copy(source, target)
    dataset = open_dataset("TNBC", tmp_path)
    assert len(dataset) == 4
    for record in dataset:
        image, mask = dataset.image(record), dataset.mask(record)
        assert image.shape == (512, 512, 3)
        assert 0.05 < mask.mean() < 0.6
        assert image[mask == 1].mean() < image[mask == 0].mean() - 15  # chromatin takes haematoxylin


def test_luna_names_and_masks_and_that_saturated_images_are_refused(real: Path) -> None:
    import cv2

    dataset = open_dataset("LUNA", locate("LUNA", real))
    assert {r.patient_id for r in dataset} == {f"ID_{n:04d}" for n in (13, 17, 28, 88, 118, 168)}
    for record in dataset:
        mask = dataset.mask(record)
        assert mask.shape == (512, 512)
        assert 0.05 < mask.mean() < 0.5
        areas = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
        assert np.sort(areas)[::-1][:2].sum() > 0.9 * mask.sum()  # two lungs
        with pytest.raises(InputError, match="accepted: one channel of 16 or 32 bits"):
            dataset.image(record)


@pytest.mark.parametrize(
    ("flip_z", "flip_rows"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_nih_turns_a_label_onto_real_slices(
    real: Path, tmp_path: Path, flip_z: bool, flip_rows: bool
) -> None:
    """Three real slices of the abdomen, taken as one scan: the label fits in one of four ways only."""
    import nibabel

    units, masks = [], []
    series = tmp_path / "PANCREAS_0001" / "study" / "series"
    series.mkdir(parents=True)
    for z, path in enumerate(sorted((real / "derived" / "NIH-CT-82" / "images").iterdir())):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.int16)
        units.append(np.where(grey > 0, grey, -100).astype(np.int16))  # shown from 0 HU: fat is black
        masks.append(np.asarray(Image.open(path.parents[1] / "masks" / path.name).convert("L")) > 127)
        (series / f"1-{z + 1:03d}.dcm").write_bytes(computed(units[-1], -1024, 2.0 * z, f"1.{z + 1}"))
    label = np.stack(masks, axis=2)[:: -1 if flip_rows else 1, :, :: -1 if flip_z else 1]
    nibabel.Nifti1Image(label.transpose(1, 0, 2).astype(np.uint8), np.eye(4)).to_filename(
        tmp_path / "label0001.nii.gz"
    )
    dataset = open_dataset("NIH-CT-82", tmp_path)
    for record in dataset:
        z = int(Path(record.image_path).stem[2:]) - 1
        assert np.array_equal(dataset.image(record), units[z])
        assert np.array_equal(dataset.mask(record), masks[z])
        assert record.meta["overlap"] > 0.9


def test_full_ade_of_2021(real: Path) -> None:
    """The benchmark's table of 2016 against the names that the release of 2021 gives its objects."""
    top = real / "official" / "ADE20K" / "ADE20K_2021_17_01"
    dataset = open_dataset("ADE20K-Seg", top)
    rows = (real / "official" / "ADE20K" / "ADEChallengeData2016" / "objectInfo150.txt").read_text()
    names = [row.split("\t")[4].strip() for row in rows.splitlines()[1:]]
    met = set()
    assert len(dataset) == 2
    for record in dataset:
        mask = dataset.mask(record)
        assert mask.shape == dataset.image(record).shape[:2]
        assert (mask != 255).mean() > 0.9
        described = json.loads((top / record.image_path).with_suffix(".json").read_text(encoding="latin1"))
        whole = {o["name"] for o in described["annotation"]["object"] if o["parts"]["part_level"] == 0}
        found = {names[n] for n in np.unique(mask) if n != 255}
        assert found == whole & set(names)
        met |= found
    assert len(met) > 10
    scenes = open_dataset("ADE20K", top, min_images=1)
    assert scenes.info.classes == ("street",)
    assert {r.split for r in scenes} == {"train"}


def test_tcga_names_of_real_slides(real: Path, tmp_path: Path) -> None:
    """The 834 diagnostic slides of 486 LGG patients that a public study lists, with their survival."""
    table = real / "derived" / "TCGA" / "tcga_lgg_path_full.csv"
    rows = list(csv.DictReader(table.open()))
    lines = ["case_submitter_id\tvital_status\tdays_to_death\tdays_to_last_follow_up"]
    for row in rows:
        place = tmp_path / "slides" / row["dir_name"]
        place.mkdir(parents=True)
        (place / f"{row['pathology_id']}.svs").touch()
        dead = row["e"] == "1"
        times = f"{row['t']}\t'--" if dead else f"'--\t{row['t']}"
        lines.append(f"{row['patient_id']}\t{'Dead' if dead else 'Alive'}\t{times}")
    (tmp_path / "clinical.tsv").write_text("\n".join(lines))
    dataset = open_dataset("TCGA-LGG", tmp_path)
    expected = {row["patient_id"]: (float(row["t"]), row["e"] == "1") for row in rows if float(row["t"]) > 0}
    found = {r.patient_id: (r.meta["time"], r.meta["event"]) for r in dataset}
    assert found == expected
    assert len(dataset) == sum(float(row["t"]) > 0 for row in rows)
    assert (len(rows), len({row["patient_id"] for row in rows})) == (834, 486)
    assert {r.meta["slide"] for r in dataset} > {"DX1", "DX9", "DX17"}


def test_tcga_projects_of_a_real_list_of_slides(real: Path) -> None:
    xlrd = pytest.importorskip("xlrd")
    book = xlrd.open_workbook(real / "derived" / "TCGA" / "SCNN_Table.S2_roi_coordinates_GBM_LGG.xls")
    names = [str(value) for value in book.sheet_by_index(0).col_values(0)[1:] if value]
    matches = [tcga.SLIDE.fullmatch(name if name.endswith(".svs") else f"{name}.svs") for name in names]
    assert all(matches)
    patients = {match[1] for match in matches if match}
    gbm = {patient for patient in patients if patient[5:7] in GBM_SITES}
    assert (len(names), len(gbm), len(patients - gbm)) == (1061, 351, 418)
