"""CT and MRI."""

from medpt.data.cards.card import Card

CARDS = (
    Card(
        name="CHAOS-CT",
        title="CHAOS: liver in contrast-enhanced abdominal CT",
        modality="ct",
        task="segmentation",
        classes=("background", "liver"),
        counts={"train": 2874, "test": 0},
        paper_counts={"train": 2874, "test": 0},
        official_split=False,
        licence="CC BY-NC-SA 4.0",
        source="Zenodo, doi:10.5281/zenodo.3362844 (CHAOS_Train_Sets.zip)",
        citation="Kavur et al., CHAOS challenge, Medical Image Analysis 69, 2021",
        folders=("CHAOS-CT", "CHAOS", "CHAOS_Train_Sets"),
        notes="All slices of the 20 training patients, also those without liver; test sets have no truth.",
    ),
)
