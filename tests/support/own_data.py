"""The two datasets of docs/own-data.md, drawn: cards, tables and files as the page shows them."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"


def blocks() -> list[str]:
    """What the page quotes, in order: card, table, card, commands."""
    return re.findall(r"```(?:yaml)?\n(.*?)```", PAGE.read_text(), re.DOTALL)


def drawn(path: Path, rng: np.random.Generator, bright: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(60, 120, (48, 48, 3)) + 100 * bright
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def clinic(folder: Path) -> Path:
    """The page's four rows, and patients enough to train on."""
    rng, card, table = np.random.default_rng(0), blocks()[0], blocks()[1].splitlines()
    for number in range(40):
        label, part = ("glaucoma", "healthy")[number % 2], ("test", "train")[number % 4 < 3]
        table.append(f"more/{number},{label},m{number // 2 * 2 + (number % 4 == 3)},{part}")
    for line in table[1:]:
        name, label, *_ = line.split(",")
        drawn(folder / "images" / f"{name.removesuffix('.jpg')}.jpg", rng, label == "glaucoma")
    (folder / "dataset.yaml").write_text(card)
    (folder / "labels.csv").write_text("\n".join(table))
    return folder


def vessels(folder: Path) -> Path:
    """Masks of 0, 255 and a little 128; the csv names the test set, and one mask of another name."""
    rng, table = np.random.default_rng(1), ["image,mask,patient,split"]
    for number in range(100):
        part = "train" if number < 80 else "test"
        mask = f"{number}" if number else "first_truth"
        table.append(f"a/{number}.png,a/{mask}.png,p{number},{part}")
        drawn(folder / "images" / "a" / f"{number}.png", rng, False)
        truth = np.where(rng.random((48, 48)) < 0.2, 255, 0).astype(np.uint8)
        truth[0] = 128
        (folder / "masks" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(truth).save(folder / "masks" / "a" / f"{mask}.png")
    (folder / "dataset.yaml").write_text(blocks()[2])
    (folder / "images.csv").write_text("\n".join(table))
    return folder
