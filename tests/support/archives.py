"""ImageNet as its publisher packs it."""

import io
import shutil
import tarfile
from pathlib import Path

import numpy as np

from medpt.data.readers.imagenet_tars import DEVKIT, TRAIN, VAL


def packed_imagenet(copy: Path) -> list[str]:
    """Turns an unpacked copy into the publisher's archives; the wnids in the order of their ILSVRC ids."""
    from scipy.io import savemat

    wnids = sorted((folder.name for folder in (copy / "train").iterdir() if folder.is_dir()), reverse=True)
    with tarfile.open(copy / TRAIN, "w") as outer:
        for wnid in wnids:
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w") as inner:
                for path in sorted((copy / "train" / wnid).glob("*.JPEG")):
                    inner.add(path, path.name)
            entry = tarfile.TarInfo(f"{wnid}.tar")
            entry.size = content.tell()
            content.seek(0)
            outer.addfile(entry, content)
    images = {path.name: path for path in (copy / "val").rglob("ILSVRC*.JPEG")}
    with tarfile.open(copy / VAL, "w") as archive:
        for name in sorted(images, reverse=True):  # the truth goes by sorted names, not by this order
            archive.add(images[name], name)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    rows = [(n, wnid, "thing", 0) for n, wnid in enumerate(wnids, 1)] + [(99, "n00001740", "entity", 2)]
    content = io.BytesIO()
    savemat(content, {"synsets": np.array(rows, dtype=kinds)})
    truth = "".join(f"{wnids.index(images[name].parent.name) + 1}\n" for name in sorted(images))
    files = {"meta.mat": content.getvalue(), "ILSVRC2012_validation_ground_truth.txt": truth.encode()}
    write_devkit(copy, files)
    for part in ("train", "val"):
        shutil.rmtree(copy / part)
    return wnids


def write_devkit(copy: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(copy / DEVKIT, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
