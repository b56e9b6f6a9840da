"""The reader of York's cardiac MRI on a synthetic copy: contours, frames, every trap and complaint."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from reader_copies import problems, spoil

from medpt.data import open_dataset
from medpt.data.readers.cardiacmri import area, filled
from medpt.errors import InputError


def test_york_masks_are_the_contours(copies: Path) -> None:
    from scipy.io import loadmat

    dataset = open_dataset("CardiacMRI", copies / "CardiacMRI", keep="segmented", frames="all")
    assert len(dataset) == 5 * 6 * 2
    for record in dataset:
        cells = loadmat(dataset.root / str(record.mask_path))["manual_seg_32points"]
        volume = loadmat(dataset.root / record.image_path)["sol_yxzt"]
        z, t = record.meta["z"], record.meta["t"]
        assert record.slice == z + 8 * t
        assert np.array_equal(dataset.image(record), volume[:, :, z, t])
        first, second = cells[z, t][:32], cells[z, t][33:]
        inner, outer = sorted((first, second), key=area)
        mask = dataset.mask(record)
        assert (mask == 1).sum() == pytest.approx(area(inner), rel=0.15)
        assert (mask > 0).sum() == pytest.approx(area(outer), rel=0.1)
        y, x = np.nonzero(mask)
        assert (x.mean() + 1, y.mean() + 1) == pytest.approx(tuple(outer.mean(axis=0)), abs=0.5)
        assert dataset.image(record)[mask == 1].mean() > 2 * dataset.image(record)[mask == 2].mean()


def test_york_default_is_one_frame_of_all_slices(copies: Path) -> None:
    dataset = open_dataset("CardiacMRI", copies / "CardiacMRI")
    assert len(dataset) == 5 * 8
    assert {r.meta["t"] for r in dataset} == {0}
    assert Counter(bool(dataset.mask(r).any()) for r in dataset) == {True: 30, False: 10}
    assert dataset.notes == (
        f"{dataset.root}/manual_seg/manual_seg_32points_pat4.mat: 6 cells name the epicardium first: swapped",
    )


def slow_fill(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """A pixel's centre is inside where the angles to the points go once around."""
    mask = np.zeros((height, width), bool)
    for y, x in np.ndindex(height, width):
        angle = np.arctan2(points[:, 1] - y, points[:, 0] - x)
        turns = np.diff(np.append(angle, angle[0]))
        mask[y, x] = abs(((turns + np.pi) % (2 * np.pi) - np.pi).sum()) > np.pi
    return mask


@pytest.mark.parametrize("seed", range(8))
def test_filled_agrees_with_winding_and_with_skimage(seed: int) -> None:
    draw = pytest.importorskip("skimage.draw")
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 32))
    radius = rng.uniform(3, 9, 32)
    points = np.stack([11 + radius * np.cos(angle), 8 + radius * np.sin(angle)], axis=1)
    found = filled(points, (18, 20))
    assert np.array_equal(found, slow_fill(points, 18, 20))
    assert np.array_equal(found, draw.polygon2mask((18, 20), points[:, ::-1]))
    assert np.array_equal(filled(points[::-1], (18, 20)), found)


@spoil("CardiacMRI")
def test_york_finds_files_in_any_folder_and_sorts_by_number(copy: Path) -> None:
    for kind, target in (("mrimages", "Raw_data"), ("manual_seg", "Segmented_data")):
        (copy / kind).rename(copy / target)
    shutil.copy(copy / "Raw_data" / "sol_yxzt_pat1.mat", copy / "Raw_data" / "sol_yxzt_pat10.mat")
    contours = copy / "Segmented_data"
    shutil.copy(contours / "manual_seg_32points_pat1.mat", contours / "manual_seg_32points_pat10.mat")
    patients = list(dict.fromkeys(r.patient_id for r in open_dataset("CardiacMRI", copy)))
    assert patients == ["pat1", "pat2", "pat3", "pat4", "pat5", "pat10"]


@spoil("CardiacMRI")
def test_york_complaints(copy: Path) -> None:
    from scipy.io import savemat

    volumes, contours = copy / "mrimages", copy / "manual_seg"
    (contours / "manual_seg_32points_pat1.mat").unlink()
    (volumes / "sol_yxzt_pat2.mat").write_bytes(b"junk")
    savemat(volumes / "sol_yxzt_pat3.mat", {"sol_yxzt": np.zeros((4, 4, 3))})
    cells = np.empty((3, 2), object)
    cells[:] = -99999.0
    savemat(contours / "manual_seg_32points_pat4.mat", {"manual_seg_32points": cells})
    cells = np.empty((8, 2), object)
    cells[:] = -99999.0
    cells[2, 0] = np.zeros((64, 2))
    savemat(contours / "manual_seg_32points_pat5.mat", {"manual_seg_32points": cells})
    text = problems("CardiacMRI", copy)
    assert "sol_yxzt_pat1.mat: no manual_seg_32points_pat1.mat" in text
    assert "sol_yxzt_pat2.mat: not a MATLAB 5 file" in text
    assert "sol_yxzt_pat3.mat: sol_yxzt of shape (4, 4, 3); accepted: four dimensions" in text
    assert "manual_seg_32points_pat4.mat: (3, 2) cells (z, t); its volume has (8, 2)" in text
    assert "manual_seg_32points_pat5.mat: a cell of shape (64, 2); accepted: (65, 2)" in text
    with pytest.raises(InputError) as caught:
        open_dataset("CardiacMRI", copy, frames=[-1], keep="some")
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="no frame 2; accepted: 0 to 1"):
        open_dataset("CardiacMRI", copy, frames=[2])
