"""Radiographs."""

from medpt.data.cards.card import Card

CARDS = (
    Card(
        name="ChestXRay2017",
        title="Chest X-ray images of children, with and without pneumonia (Kermany)",
        modality="x-ray",
        task="classification",
        classes=("NORMAL", "PNEUMONIA"),
        counts={"train": 5232, "test": 624},
        paper_counts={"train": 5232, "test": 624},
        official_split=True,
        licence="CC BY 4.0",
        source="Mendeley Data, doi:10.17632/rscbjbr9sj (ChestXRay2017.zip, or ZhangLabData.zip of version 3)",
        citation="Kermany et al., Identifying medical diagnoses and treatable diseases, Cell 172, 2018",
        folders=("ChestXRay2017", "chest_xray", "chest-xray-pneumonia", "CellData"),
        notes="Kaggle's copy moves 16 training images into val: they count as train. 283 files are RGB.",
    ),
)
