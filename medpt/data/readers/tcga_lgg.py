"""TCGA-LGG: whole slides with survival, see medpt/data/readers/tcga.py."""

from pathlib import Path

from medpt.data.catalog import card
from medpt.data.dataset import Dataset
from medpt.data.readers import tcga

CARD = card("TCGA-LGG")


def open(root: Path, slides: tcga.Slides = "dx") -> Dataset:
    """One record a slide, without label; see `tcga.open_project`."""
    return tcga.open_project(CARD, "LGG", root, slides)
