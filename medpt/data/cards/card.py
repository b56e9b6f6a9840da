"""The form of a card: what is known of a dataset before a file of it is seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["x-ray", "ct", "mri", "fundus", "dermoscopy", "histology", "oct", "natural"]


@dataclass(frozen=True)
class Card:
    """`classes` is empty where only the owner's files say it; `folders` are names its download goes by.

    `pipeline` stands in for the modality's where that does not suit the images. Of a user's own dataset
    (medpt.data.own) `home` is its folder; `counts` may be empty.
    """

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
    pipeline: str | None = None
    home: Path | None = None
