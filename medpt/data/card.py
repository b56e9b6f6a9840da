"""Cards: what is known of a dataset before a file of it is seen.

`counts` are what the publishers report, `paper_counts` what Table 1 of Wen et al. 2021 reports; `notes`
explains the differences. Licences are as last seen: the publisher's page decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Modality = Literal["x-ray", "ct", "mri", "fundus", "dermoscopy", "histology", "oct", "natural"]


@dataclass(frozen=True)
class DatasetCard:
    """`classes` is empty where only the original files say it; `folders` are names its download goes by.

    `pipeline` replaces the modality's where that does not suit the images. `reader` and `phantom` are modules
    of medpt.data.readers and medpt.phantom. Of a user's dataset `home` is its folder; `counts` may be empty.
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
    reader: str = "image_folder"
    phantom: str | None = None
