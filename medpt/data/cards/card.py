"""The form of a card: what is known of a dataset before a file of it is seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Modality = Literal["x-ray", "ct", "mri", "fundus", "dermoscopy", "histology", "oct", "natural"]


@dataclass(frozen=True)
class Card:
    """`classes` is empty where only the owner's files say it; `folders` are names its download goes by."""

    name: str
    title: str
    modality: Modality
    task: Literal["classification", "segmentation", "survival"]
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    paper_counts: Mapping[str, int]
    official_split: bool
    licence: str
    source: str
    citation: str
    folders: tuple[str, ...]
    notes: str
