"""MESSIDOR: three of the twelve bases, TIFFs and .xls annotations; grades show in spots and bleedings.

Traps: a header with a trailing blank, a doubled folder, a blank instead of the underscore in a file name, an
annotation inside its base and others beside, a grade that the errata correct, a duplicate pair with different
risks of oedema, macOS debris.
"""

from pathlib import Path

from medpt.phantom.fundus import RETINOPATHY, develop, paint_spots, photograph
from medpt.phantom.paint import debris, save, stream
from medpt.phantom.tables import Cell, write_xls

HEADER = ("Image name", "Ophthalmologic department", "Retinopathy grade", "Risk of macular edema ")
DEPARTMENTS = {
    11: "Service Ophtalmologie Lariboisière",
    13: "Service Ophtalmologie Lariboisière",
    33: "LaTIM - CHU de BREST",
}
PLACES = {
    11: ("Base11", "Annotation_Base11.xls"),
    13: ("Base13/Base13", "Base13/Annotation Base13.xls"),
    33: ("Base33", "Annotation_Base33.xls"),
}
FAMOUS = {0: "20051020_63045_0100_PP", 1: "20051202_55562_0400_PP", 2: "20051202_54611_0400_PP"}  # by number
OLD_GRADE = {0: 3}  # in the table; its picture shows grade 0, as the errata have it


def write(folder: Path, seed: int, train: int = 120, test: int = 0, size: int = 96) -> None:
    """`train` + `test` TIFFs of size x 1.5 size, by turns in the three bases: the publisher has no
    subsets."""
    rows: dict[int, list[tuple[Cell, ...]]] = {base: [HEADER] for base in PLACES}
    for n in range(train + test):
        base = 11 if n == 0 else 33 if n < 3 else tuple(PLACES)[n % 3]
        original = 1 if n == 2 else n  # the third image is the second once more
        grade = original % 4 if n else 0
        rng = stream(seed, "MESSIDOR", original)
        eye = photograph(rng, size, round(size * 1.5))
        paint_spots(rng, eye, RETINOPATHY[grade])
        series = "0400" if base == 33 else "0100"
        name = FAMOUS.get(n, f"20060411_{60000 + n}_{series}_PP") + ".tif"
        save(folder / PLACES[base][0] / name, develop(rng, eye), "TIFF")
        oedema = 0 if n < 2 else (1 if n == 2 else grade // 2)
        rows[base].append((name, DEPARTMENTS[base], OLD_GRADE.get(n, grade), oedema))
    for base, (_, annotation) in PLACES.items():
        write_xls(folder / annotation, "Feuil1", rows[base])
    debris(folder / "Base11", "20051020_63045_0100_PP.tif")
