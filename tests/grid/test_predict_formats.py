"""Networks trained on hospital files: predicted from the same files, and exported, after a whole run."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import own_folders
import pytest
import serial
import tiny
import torch
from numpy.typing import NDArray
from user_data import write_card

from grid import export, predict
from grid.results.frame import read_plan
from grid.store.store import Store
from medpt import phantom
from medpt.data import open_dataset
from medpt.data.masks import read_ids
from medpt.data.preprocess import preprocess_pair
from medpt.phantom.paint import stream

SPACE = """
title: networks of hospital files
size: 32
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 2}
controls: false
experiments:
  - {initialization: random, backbone: shufflenet_v2, target: Scans, seed: 0}
"""
CARD = {"name": "Scans", "modality": "ct", "images": "images", "labels": "labels.csv"}
WINDOW = {"pipeline": "window(-160,240)|resize(32)"}
DISCS = """
title: cups around their discs
size: 32
datasets:
  DRISHTI-GS: {roi: 64}
pretrain: {min_steps: 0, max_steps: 30, evaluate_every: 10, batch_size: 8, learning_rate: 0.001}
finetune: {min_steps: 0, max_steps: 2, evaluate_every: 2}
controls: false
experiments:
  - {initialization: random, backbone: shufflenet_v2, target: DRISHTI-GS, seed: 0}
"""


def finished(folder: Path, text: str) -> tuple[Path, str]:
    """Run a space of one fine-tuning on the data of `folder`; return its output and the digest."""
    out = folder / "out"
    serial.run(tiny.written(folder, text), folder / "data", out)
    ((_, digest),) = read_plan("tiny", out).trials
    return out, digest


def predicted(out: Path, to: Path, *images: Path) -> list[dict[str, str]]:
    """Return the rows that `predict` writes for these images, one for each."""
    import csv

    given = ["--space", "tiny", "--out", str(out), "--to", str(to)]
    assert predict.main([*given, *map(str, images)]) == 0
    with (to / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def exported(out: Path, to: Path) -> Any:
    """Return the program that `export` writes."""
    assert export.main(["--space", "tiny", "--out", str(out), "--to", str(to)]) == 0
    return torch.export.load(to).module()


def saved(out: Path, digest: str, name: str) -> dict[str, NDArray[Any]]:
    with np.load(Store(out).folder(digest) / name) as arrays:
        return dict(arrays)


def test_dicom_is_predicted_as_it_was_tested(tmp_path: Path) -> None:
    home = own_folders.dicom(tmp_path / "data" / "Scans", images=40)
    (home / "scans").rename(home / "images")
    rows = (home / "info.tsv").read_text().splitlines()[1:]
    parts = ["test" if number % 8 < 2 else "train" for number in range(len(rows))]
    table = [f"{row.replace(chr(9), ',')},{part}" for row, part in zip(rows, parts, strict=True)]
    facts = CARD | WINDOW | {"task": "classification", "classes": "[abdomen, chest]"}
    write_card(home, facts, "\n".join(["image,label,patient,split", *table]))
    out, digest = finished(tmp_path, SPACE)
    tested = [home / "images" / row.split(",")[0] for row in table if row.endswith("test")]
    found = predicted(out, tmp_path / "to", *tested)
    probabilities = np.array([[row["p_abdomen"], row["p_chest"]] for row in found], dtype=np.float32)
    scores = saved(out, digest, "scores.npz")["scores"]
    np.testing.assert_allclose(probabilities, scores, atol=1e-6)
    assert len(np.unique(scores[:, 0])) > len(scores) // 2  # the images differ
    assert exported(out, tmp_path / "model.pt2")(torch.zeros(2, 32, 32, 3, dtype=torch.uint8)).shape == (2, 2)


def nifti(home: Path, volumes: int = 6) -> list[Path]:
    """Write volumes of four abdominal slices, and masks of what is bright; return the volumes."""
    from medpt.phantom.chaos_ct import abdomen

    paths = []
    for number in range(volumes):
        rng = stream(0, "nifti", number)
        slices = [abdomen(rng, 48, 0.4 + n / 10, rng.uniform(0.9, 1.1, 8))[0] for n in range(4)]
        voxels = np.stack(slices, axis=2).astype(np.int16)
        for folder, values in (("images", voxels), ("masks", (voxels > 60).astype(np.int16))):
            path = home / folder / f"v{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 2, 3, 1])), path)  # type: ignore[attr-defined]
        paths.append(home / "images" / f"v{number}.nii.gz")
    return paths


def test_nifti_volume_is_segmented_as_it_was_tested(tmp_path: Path) -> None:
    home = tmp_path / "data" / "Scans"
    volumes = nifti(home)
    rows = [f"{path.name},{path.name},p{n},{'test' if n > 3 else 'train'}" for n, path in enumerate(volumes)]
    facts = CARD | WINDOW | {"task": "segmentation", "classes": "[background, bright]", "masks": "masks"}
    write_card(home, facts, "\n".join(["image,mask,patient,split", *rows]))
    out, digest = finished(tmp_path, SPACE)
    found = {row["image"]: row for row in predicted(out, tmp_path / "to", *volumes[4:])}
    assert len(found) == 8
    dataset = open_dataset("Scans", home)
    stored = saved(out, digest, "predictions.npz")
    ids = stored["ids"].tolist()
    for record in (one for one in dataset if one.id in ids):  # a few of the test slices are stored
        row = found[f"{Path(record.image_path).name}#{record.slice}"]
        mask, pixels = read_ids(tmp_path / "to" / row["mask"]), dataset.image(record)
        assert mask.shape == pixels.shape
        expected = stored["prediction"][ids.index(record.id)]
        again = preprocess_pair(pixels, mask, WINDOW["pipeline"])[1]
        assert np.mean(again == expected) > 0.98  # but for edges that are scaled twice
    assert exported(out, tmp_path / "model.pt2")(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).ndim == 4


@pytest.mark.slow
def test_disc_is_found_and_cut_in_new_photographs(tmp_path: Path) -> None:
    phantom.write("REFUGE-OD", tmp_path / "data" / "REFUGE", train=16, test=2, size=96)
    home = phantom.write("DRISHTI-GS", tmp_path / "data" / "DRISHTI-GS", train=4, test=3, size=128)
    out, digest = finished(tmp_path, DISCS)
    dataset = open_dataset("DRISHTI-GS", home)
    tested = [one for one in dataset if one.split == "test"]
    found = predicted(out, tmp_path / "to", *(dataset.root / one.image_path for one in tested))
    by_name = {row["image"]: row for row in found}
    stored = saved(out, digest, "predictions.npz")
    ids = stored["ids"].tolist()
    for record in (one for one in tested if one.id in ids):
        row, whole = by_name[Path(record.image_path).name], dataset.image(record)
        mask = read_ids(tmp_path / "to" / row["mask"])
        assert mask.shape == whole.shape[:2]
        cut = stored["prediction"][ids.index(record.id)]
        share = np.count_nonzero(cut) / cut.size * 64**2  # pixels of the photograph in a crop of 64
        assert np.count_nonzero(mask) == pytest.approx(share, rel=0.15, abs=20)
    assert exported(out, tmp_path / "model.pt2")(torch.zeros(1, 32, 32, 3, dtype=torch.uint8)).ndim == 4
