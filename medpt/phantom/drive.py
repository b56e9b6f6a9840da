"""DRIVE: fundus TIFFs, vessels of the first observer and fields of view as palette GIFs, official names.

Traps: palette GIFs, macOS debris.
"""

from pathlib import Path

from medpt.phantom.fundus import fundus
from medpt.phantom.paint import debris, save, stream


def write(folder: Path, seed: int, train: int = 20, test: int = 20, size: int = 148) -> None:
    """TIFFs of size x 0.97 size; training numbers follow on those of the test set, as in the original."""
    for subset, first, count in (("training", 21, train), ("test", 1, test)):
        for number in range(first, first + count):
            image, vessels, view = fundus(stream(seed, "DRIVE", number), size, round(size * 0.97))
            top = folder / subset
            save(top / "images" / f"{number:02d}_{subset}.tif", image, "TIFF")
            save(top / "1st_manual" / f"{number:02d}_manual1.gif", vessels, "GIF", "P")
            save(top / "mask" / f"{number:02d}_{subset}_mask.gif", view, "GIF", "P")
    debris(folder / "training" / "images", "21_training.tif")
