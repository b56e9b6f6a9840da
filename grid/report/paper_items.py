"""The tables and figures of Wen et al. 2021 that a report redraws, and which experiments belong to each."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class PaperItem:
    """`kind` names what is shown (a template section-KIND.html.j2); `drawing` how cells are drawn.

    `experiments` is a pattern that the names of its experiments begin with; `task` that of its targets,
    empty for any.
    """

    name: str
    title: str
    kind: str
    experiments: str = ""
    task: str = ""
    drawing: str = ""
    speeds: bool = False  # whether the steps to 95 % of the best score are shown

    @property
    def key(self) -> str:
        return self.name.lower().replace(" ", "-")

    def holds(self, experiment: str, task: str) -> bool:
        """Whether a trial of that experiment and task belongs here."""
        if not self.experiments:
            return False
        named = re.match(f"(?:{self.experiments})(?![0-9a-z])", experiment, re.IGNORECASE)
        return named is not None and self.task in ("", task)


PAPER_ITEMS = (
    PaperItem("Figure 2", "How far apart datasets are before any training", "cmd"),
    PaperItem(
        "Figure 3a",
        "The source's modality: classification with ResNet-18",
        "trials",
        "figure 3a?",
        "classification",
        "rows",
        speeds=True,
    ),
    PaperItem(
        "Figure 3b",
        "The source's modality: segmentation with U-Net on ResNet-18",
        "trials",
        "figure 3b?",
        "segmentation",
        "rows",
        speeds=True,
    ),
    PaperItem("Table 2", "The source's modality with two other encoders", "trials", "table 2"),
    PaperItem(
        "Figure 4", "Segmentation sources for U-Net on ResNet-18", "trials", "figure 4", drawing="rows"
    ),
    PaperItem("Table 3", "Segmentation sources for four other networks", "trials", "table 3"),
    PaperItem("Figure 5", "The size of the source", "trials", "figure 5", drawing="sizes"),
    PaperItem("Figure 6a", "How far pre-training moves each layer", "svcca"),
    PaperItem("Figure 6b", "What becomes of the first layer's filters", "filters"),
    PaperItem(
        "Figure 7a",
        "Three and six modalities against the best single source",
        "trials",
        "figure 7a",
        drawing="rows",
    ),
    PaperItem(
        "Figure 7b", "How much of the target is fine-tuned on", "trials", "figure 7b", drawing="shares"
    ),
    PaperItem("Table 4", "The cohorts' slides and patches", "cohorts"),
    PaperItem("Table 5", "Survival from clustered patches", "survival", "table 5"),
    PaperItem("Table 6", "Survival models of others", "survival", "table 6"),
)
