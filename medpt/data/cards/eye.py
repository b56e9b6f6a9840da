"""Fundus photographs and OCT."""

from medpt.data.cards.card import Card

CARDS = (
    Card(
        name="DRIVE",
        title="DRIVE: vessels in colour fundus photographs",
        modality="fundus",
        task="segmentation",
        classes=("background", "vessel"),
        counts={"train": 20, "test": 20},
        paper_counts={"train": 20, "test": 20},
        official_split=True,
        licence="research use, on registration",
        source="drive.grand-challenge.org (training.zip, test.zip)",
        citation="Staal et al., Ridge-based vessel segmentation in color images of the retina, TMI 23, 2004",
        folders=("DRIVE",),
        notes="The test.zip of grand-challenge has no vessel truth; older copies have it in test/1st_manual.",
    ),
)
