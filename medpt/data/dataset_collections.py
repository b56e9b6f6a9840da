"""The paper's collections: several datasets that train one encoder, each with a head of its own.

Wen et al. 2021, section 5.2, name M3 and M6; which datasets they hold is Table 1's. "Tens of thousands" of
images is read as at most 20,000 of each classification dataset; segmentation datasets are whole.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Collection:
    name: str
    datasets: tuple[str, ...]
    task: str
    at_most: int | None  # training images of each dataset


M3_CLS = ("CheXpert", "EyePACS", "ISIC2019")
M3_SEG = ("CHAOS-CT", "CHAOS-MRI", "TNBC")
CAP = 20_000

COLLECTIONS = {
    entry.name: entry
    for entry in (
        Collection("M3-CLS", M3_CLS, "classification", CAP),
        Collection("M6-CLS", (*M3_CLS, "OCT2017", "MURA", "STARE-CLS"), "classification", CAP),
        Collection("M3-SEG", M3_SEG, "segmentation", None),
        Collection("M6-SEG", (*M3_SEG, "LUNA", "REFUGE-OD", "STARE-SEG"), "segmentation", None),
    )
}
