"""ImageNet unpacked: `train/<wnid>/<wnid>_<n>.JPEG` and `val/<wnid>/ILSVRC2012_val_<n>.JPEG`.

Traps: a CMYK JPEG, a PNG named .JPEG, macOS debris.
"""

from pathlib import Path

from medpt.phantom.objects import (
    Draw,
    banana,
    canopy,
    disc_with_hands,
    flower,
    football,
    picture,
    pizza,
    round_fruit,
    shore,
    volcano,
)
from medpt.phantom.paint import debris, save, stream, to_bytes

DRAWN: dict[str, Draw] = {
    "n02782093": canopy(7, basket=True),
    "n03888257": canopy(5, basket=False),
    "n04254680": football,
    "n04548280": disc_with_hands,
    "n07747607": round_fruit((0.93, 0.52, 0.1), 0.06),
    "n07753592": banana,
    "n07873807": pizza,
    "n09428293": shore,
    "n09472597": volcano,
    "n11939491": flower((0.95, 0.95, 0.93), (0.9, 0.72, 0.12), 17),
}


def write(folder: Path, seed: int, train: int = 80, test: int = 20, size: int = 96) -> None:
    """JPEGs of size x 4/3 size."""
    for subset, count in (("train", train), ("val", test)):
        for n in range(count):
            wnid = tuple(DRAWN)[n % len(DRAWN)]
            rng = stream(seed, "ImageNet", subset, n)
            pixels = to_bytes(picture(rng, size, size * 4 // 3, DRAWN[wnid]))
            name = f"{wnid}_{n + 1}" if subset == "train" else f"ILSVRC2012_val_{n + 1:08d}"
            path = folder / subset / wnid / f"{name}.JPEG"
            trap = n if subset == "train" else -1
            save(path, pixels, "PNG" if trap == 1 else "JPEG", "CMYK" if trap == 0 else None)
    debris(folder / "train" / "n07747607", "n07747607_5.JPEG")
