"""The second observer's masks are read, and scored against the first's on the test set alone."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from bench import observers
from medpt import phantom
from medpt.data import open_dataset


def test_observers_agree_with_copies_and_not_with_blank_masks(tmp_path: Path) -> None:
    phantom.write("DRIVE", tmp_path / "DRIVE", train=3, test=2, size=48)
    first, second = (tmp_path / "DRIVE" / "test" / name for name in ("1st_manual", "2nd_manual"))
    second.mkdir(exist_ok=True)
    masks = sorted(first.iterdir())
    copies = [second / path.name.replace("manual1", "manual2") for path in masks]
    for path, copy in zip(masks, copies, strict=True):
        shutil.copy(path, copy)
    dataset = open_dataset("DRIVE", tmp_path / "DRIVE")
    same = observers.confusions(dataset, None)
    assert len(same) == 2
    assert not same[:, [0, 1], [1, 0]].any()
    blank = Image.fromarray(np.zeros(np.asarray(Image.open(masks[0])).shape, np.uint8))
    blank.save(copies[0])
    one, other = observers.confusions(dataset, 32)
    assert one[1, 0] > 0 == one[1, 1]
    assert not other[[0, 1], [1, 0]].any()
