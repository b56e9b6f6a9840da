"""`check`: every planted fault is reported in one run; a complete copy is reported as complete."""

import io
import shutil
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_copies import SMALL

from medpt import phantom
from medpt.data import catalog, check, open_dataset, open_with_problems
from medpt.data.__main__ import main
from medpt.data.check import at_once, decoded

RNG = np.random.default_rng(0)
HEADER = "image,label,patient,split"


def noise(path: Path, shape: tuple[int, ...] = (24, 32, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, shape, np.uint8)).save(path)
    return path


def written(folder: Path, name: str, counts: str) -> Path:
    """A whole dataset of 20 images with masks, parts and patients, read by a card."""
    for number in range(20):
        noise(folder / "images" / f"{number:02d}.png")
        mask = RNG.integers(0, 2, (24, 32), np.uint8)
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")
    lines = [f"{n:02d}.png,p{n // 2},{'test' if n >= 16 else 'train'}" for n in range(20)]
    (folder / "images.csv").write_text("\n".join(["image,patient,split", *lines, ""]))
    facts = "modality: fundus\ntask: segmentation\nclasses: [background, vessel]\nimages: images\n"
    paths = "labels: images.csv\nmasks: masks\n"
    (folder / "dataset.yaml").write_text(f"name: {name}\n{facts}{paths}counts: {counts}\n")
    return folder


def bomb(path: Path) -> None:
    """A PNG of 30,000 x 30,000 pixels by its header, a hundred bytes long."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))


def spoiled(top: Path) -> list[str]:
    """Plants one fault after the other; what the run must say of each."""
    images, masks, table = top / "images", top / "masks", top / "images.csv"
    lines = table.read_text().splitlines()
    (images / "00.png").unlink()
    lines[2] += "\n01.png,p0,train"  # a second time
    lines[3] = "02.png,p1,validation"
    lines[4] = "03.png,,train"
    lines[5] = "04.png,p2"
    lines[17] = "16.png,p7,test"  # the patient of 14 and 15
    noise(images / "20.png")
    shutil.copy(masks / "05.png", masks / "21.png")
    (masks / "05.png").unlink()
    lines[7] = "06,p3,train"
    noise(images / "06.jpg")
    (images / "07.png").write_bytes(b"")
    (masks / "08.png").write_bytes(b"")
    cut = (images / "09.png").read_bytes()
    (images / "09.png").write_bytes(cut[: len(cut) // 2])
    (images / "10.png").write_text("<html>404</html>")
    bomb(images / "11.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(masks / "12.png")
    Image.fromarray(np.full((24, 32), 7, np.uint8)).save(masks / "13.png")
    noise(masks / "14.png")
    Image.fromarray(np.ones((24, 32), np.float32)).save(images / "15.tif")
    lines[16] = "15.tif,p7,train"
    (images / "15.png").unlink()
    shutil.copy(images / "16.png", images / "17.png")
    Image.fromarray(np.full((24, 32, 3), 9, np.uint8)).save(images / "18.png")
    (images / "._19.png").write_bytes(b"\0")  # debris is no fault
    table.write_text("\n".join([*lines, ""]))
    return [
        "line 2: {top}/images/00.png is missing",
        "line 4: {top}/images/01.png a second time, first in {top}/images.csv, line 3",
        "line 5: split 'validation'; train or test is accepted",
        "line 6: no patient",
        "line 7: 2 cells; the header has 3",
        "images/04.png: in no row of {top}/images.csv",
        "line 19: patient p7 is in the training set too: {top}/images.csv, line 17",
        "images/20.png: in no row of {top}/images.csv",
        "masks/21.png: a mask without an image",
        "images/05.png: no mask {top}/masks/05.*",
        "line 9: {top}/images/06 is 06.jpg or 06.png; use the whole name",
        "images of the training set; published: 16",
        "4 images of the test set; published: 5",
        "images/07.png: empty file (0 bytes)",
        "masks/08.png: empty file (0 bytes)",
        "images/09.png: not an image that can be read: ",
        "images/10.png: not an image that can be read",
        "images/11.png: ",
        "masks/12.png: shape (9, 9) for an image of shape (24, 32)",
        "masks/13.png: class 7; accepted: under 2",
        "masks/14.png: a mask in colour; accepted: one channel of class numbers",
        "images/15.tif: 32-bit or signed pixels; accepted: 8 or 16 bits a channel",
        "images/16.png, images/17.png: identical images",
        "images/18.png: all pixels are 9",
        "Spoiled: 1 of ",
    ]


def test_complete_dataset_is_reported_as_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "whole", "Whole", "{train: 16, test: 4}")
    assert main(["check", "whole", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "SPLIT  IMAGES  PATIENTS  SIZES    RANGE     background  vessel",
        *(line for line in output.out.splitlines()[1:3]),
        "Whole: complete; 20 labelled images, 2 classes",
    ]
    assert "train  16      " in output.out
    assert " 32 x 24  " in output.out
    assert "20 images decoded in" in output.err


def test_all_of_twenty_three_planted_faults_are_reported_in_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = written(tmp_path / "spoiled", "Spoiled", "{train: 16, test: 5}")
    expected = [text.format(top=top) for text in spoiled(top)]
    assert main(["check", "Spoiled", str(top)]) == 2
    output = capsys.readouterr()
    said = (output.out + output.err).splitlines()
    missing = [text for text in expected if not any(text in line for line in said)]
    assert not missing, "\n".join(said)
    table = ("SPLIT ", "train ", "test ")
    ends = [
        line
        for line in said
        if "images decoded in" in line or line.endswith("problems") or line.startswith(table)
    ]
    assert len(said) == len(expected) + len(ends), "reported twice, or reported what is no fault"
    assert "._19.png" not in output.out + output.err


@pytest.mark.parametrize("name", catalog.names())
def test_nothing_is_wrong_with_synthetic_copies_but_their_counts(
    name: str, copies: Path, tmp_path: Path
) -> None:
    shared = {"STARE-SEG": "STARE-CLS", "REFUGE-OD": "REFUGE-CLS", "ADE20K-Seg": "ADE20K"}
    shared |= {"CheXpert-14": "CheXpert"}
    dataset = open_with_problems(name, copies / shared.get(name, name))
    whole = replace(dataset, info=replace(dataset.info, counts={}))
    assert check.check(whole, io.StringIO()).problems == []


def eyepacs(top: Path) -> list[str]:
    table = next(top.rglob("trainLabels.csv"))
    lines = table.read_text().splitlines()
    first, second, third, fourth = (line.split(",")[0] for line in lines[1:5])
    lines[1] = f"{first},7"
    lines[2] = f"{second},x"
    lines += [lines[3], "99_left,0", "nonsense,0"]
    path = next(top.rglob(f"{fourth}.jpeg"))
    path.write_bytes(path.read_bytes()[:300])
    table.write_text("\n".join([*lines, ""]))
    return [f"{first},7", f"{second},x", f"{third},", "no image", "nonsense", f"{fourth}.jpeg: "]


def chaos(top: Path) -> list[str]:
    import pydicom

    patients = sorted(path for path in top.rglob("CT/*") if (path / "Ground").is_dir())
    reversed_, unpaired, strange, rescaled = patients
    masks = sorted((reversed_ / "Ground").iterdir())
    for path, content in zip(masks, [path.read_bytes() for path in reversed(masks)], strict=True):
        path.write_bytes(content)
    (unpaired / "Ground" / "liver_GT_003.png").unlink()
    (strange / "DICOM_anon" / "slice.dcm").write_bytes(b"x")
    for path in (rescaled / "DICOM_anon").iterdir():
        scan = pydicom.dcmread(path)
        scan.RescaleIntercept = 2000
        scan.save_as(path)
    return [
        f"{reversed_}: mean of",
        f"{unpaired}: 8 DICOM files but 7 masks",
        "slice.dcm: its name has no slice number",
        f"{rescaled}: mean of",
        "above 700 HU: not Hounsfield units",
    ]


def isic(top: Path) -> list[str]:
    table = next(top.rglob("ISIC_2019_Training_GroundTruth.csv"))
    lines = table.read_text().splitlines()
    second = lines[2].split(",")
    lines[1] = lines[1].replace("1.0", "0.0")
    lines[2] = ",".join([second[0], *["1.0"] * (len(second) - 1)])
    lines[3] = "ISIC_9999999" + lines[3][lines[3].index(",") :]
    lines[4] = "ISIC_1,1.0"
    table.write_text("\n".join([*lines, ""]))
    return [f"{name} is not one-hot" for name in (lines[1].split(",")[0], second[0])] + [
        "no image ISIC_9999999.jpg",
        "2 cells; the header has 10",
    ]


def chest(top: Path) -> list[str]:
    folder = next(path for path in top.rglob("NORMAL") if path.parent.name == "train")
    noise(folder / "scan.jpeg")
    noise(folder.parent / "COVID" / "a.jpeg")
    empty = min(folder.glob("IM-*.jpeg"))
    empty.write_bytes(b"")
    return ["scan.jpeg", "COVID", f"{empty}: empty file", "images of the training set; published: 5,232"]


FAULTS: dict[str, Callable[[Path], list[str]]] = {
    "EyePACS": eyepacs,
    "CHAOS-CT": chaos,
    "ISIC2019": isic,
    "ChestXRay2017": chest,
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_planted_in_the_publishers_layouts(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = phantom.write(name, tmp_path / name, **SMALL[name])
    expected = FAULTS[name](top)
    assert main(["check", name, str(top)]) == 2
    output = capsys.readouterr()
    missing = [text for text in expected if text not in output.out + output.err]
    assert not missing, output.err


def test_published_counts_are_compared_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = written(tmp_path / "large", "Large", "{train: 1, test: 4}")
    dataset = open_with_problems("Large", top)
    monkeypatch.setattr(type(dataset), "image", lambda *_: pytest.fail("decoded"))
    assert at_once(dataset).problems == [f"{top}: 16 images of the training set; published: 1"]


def test_identical_images_with_unlike_labels_are_reported(tmp_path: Path) -> None:
    phantom.write("EyePACS", tmp_path / "EyePACS", train=6, test=2, size=32)
    dataset = open_dataset("EyePACS", tmp_path / "EyePACS")
    first, second, *rest = dataset.records
    pair = (replace(first, label=0, split="train"), replace(second, label=1, split="test"))
    (dataset.root / second.image_path).write_bytes((dataset.root / first.image_path).read_bytes())
    found = decoded(replace(dataset, records=(*pair, *rest)), io.StringIO())
    (note,) = (text for text in found.notes if "identical" in text)
    assert note.endswith("identical images (labels 0 and 1; test and training set)")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_has_a_rate_and_an_end(
    stream: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 20))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    dataset = open_with_problems("Timed", written(tmp_path / "timed", "Timed", "{train: 16, test: 4}"))
    decoded(dataset, stream)
    assert "1 of 20 decoded, 0.0 a second" in stream.getvalue()
    assert "19 of 20 decoded, 0.0 a second, 21 s to go" in stream.getvalue()
    assert ("\n" in stream.getvalue().split("20 images decoded")[0]) is not stream.isatty()
