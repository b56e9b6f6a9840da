"""TCGA as the GDC's client leaves it: a folder a file; slides that OpenSlide reads as Aperio's; survival.

GBM comes with `all_dataset.csv`, LGG with `clinical.tsv`. The denser the nuclei, the shorter the survival.
Traps: slides DXA and frozen sections, identifiers in either case, slides without microns a pixel, patients of
the other project in the tables, rows twice for two diagnoses, `'--`, times of zero, slides without a patient.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medpt.data.phantom.paint import Rng, fractal, grid, smooth, stream
from medpt.data.phantom.tnbc import tile

SITES = {"GBM": ("02", "06", "OX"), "LGG": ("CS", "DU", "HT")}
MEDIAN_DAYS = {"GBM": 400.0, "LGG": 2000.0}
DEATHS = {"GBM": 0.85, "LGG": 0.25}
SECTIONS = ("01Z-00-DX1", "01Z-00-DX2", "01Z-00-DXA", "01A-01-BS1")
PIXEL = 0.502  # microns, at 20x
TILE = (256, 256)


def write_project(folder: Path, project: str, seed: int, train: int, test: int, size: int) -> None:
    rows = []
    for n in range(train + test):
        rng = stream(seed, "TCGA", project, n)
        patient = f"TCGA-{SITES[project][n % 3]}-{n + 1:04d}"
        density = rng.uniform(0, 1)
        for section in SECTIONS[: 1 + n % 4]:
            _slide(
                folder / "slides", stream(seed, "TCGA", project, n, section), patient, section, density, size
            )
        time = rng.exponential(1) * MEDIAN_DAYS[project] * np.exp(1 - 2 * density)
        if n < train:
            rows.append((patient, round(time) + 1, bool(rng.random() < DEATHS[project])))
    _tables(folder, project, rows)


def _tables(folder: Path, project: str, rows: list[tuple[str, int, bool]]) -> None:
    if project == "GBM":
        lines = ["TCGA ID,indexes,censored,Survival months,codeletion,idh mutation"]
        rows = [*rows, ("TCGA-CS-4938", 3574, False), ("TCGA-02-9998", 0, True)]
        lines += [f"{name},{n},{int(not event)},{time},0,0" for n, (name, time, event) in enumerate(rows)]
        (folder / "all_dataset.csv").write_text("\n".join(lines) + "\n")
        return
    lines = ["case_submitter_id\tproject_id\tvital_status\tdays_to_death\tdays_to_last_follow_up"]
    for n, (name, time, event) in enumerate(rows):
        for earlier in (0, 30)[: 1 + n % 2]:
            days = f"{time}\t'--" if event else f"'--\t{max(1, time - 30 + earlier)}"
            lines.append(f"{name}\tTCGA-LGG\t{'Dead' if event else 'Alive'}\t{days}")
    lines += ["TCGA-CS-9998\tTCGA-LGG\tNot Reported\t'--\t'--", "TCGA-CS-9999\tTCGA-LGG\tDead\t'--\t100"]
    lines += ["TCGA-02-0001\tTCGA-GBM\tDead\t358\t'--"]
    (folder / "clinical.tsv").write_text("\n".join(lines) + "\n")


def _slide(folder: Path, rng: Rng, patient: str, section: str, density: float, size: int) -> None:
    import tifffile

    digits = stream(0, "TCGA", patient, section).bytes(16).hex()
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    uuid = uuid.upper() if int(digits[0], 16) % 2 else uuid
    place = folder / f"{digits[::-1][:8]}-{digits[4:8]}"
    place.mkdir(parents=True)
    side = 4 * size
    pixels = _tissue(rng, side, density)
    scale = "" if section.endswith("DX2") else f"|MPP = {PIXEL:.4f}"
    header = f"Aperio Image Library v10.0.50\r\n{side}x{side} [0,0 {side}x{side}] (256x256)"
    with tifffile.TiffWriter(place / f"{patient}-{section}.{uuid}.svs") as file:
        for level, note in ((pixels, header), (pixels[::4, ::4], f"{header} -> {size}x{size}")):
            text = f"{note}|AppMag = 20{scale}"
            file.write(
                level, tile=TILE, compression="zlib", photometric="rgb", description=text, metadata=None
            )
    (place / "logs").mkdir()
    (place / "logs" / "download.parcel").write_bytes(b"")


def _tissue(rng: Rng, side: int, density: float) -> NDArray[np.uint8]:
    """White glass around tissue, one tile that repeats."""
    x, y = grid(side, side)
    stained = np.tile(tile(rng, side // 4, density)[0], (4, 4, 1))
    edge = 0.75 + 0.1 * fractal(rng, side, side, 3, 3)
    cover = smooth((edge - np.hypot(x, y)) * 40)[: stained.shape[0], : stained.shape[1], None]
    return np.rint(stained * cover + 245 * (1 - cover)).astype(np.uint8)
