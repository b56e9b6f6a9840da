"""What the published cells say for the targets that are nearest to a user's images."""

from collections.abc import Iterator

import numpy as np

from grid.advise.record import ScoreTable
from grid.advise.score_tables import PAPER, paper_table
from grid.space.trials import RANDOM
from medpt.data import catalog
from medpt.data.card import DatasetCard


def describe_nearest(card: DatasetCard) -> Iterator[str]:
    """Yield the gains over random weights on the published targets of the card's task and modality.

    Where no target has the modality, the gains are means over all targets of the task.
    """
    table = paper_table(card.task)
    near = [name for name in table.names if catalog.card(name).modality == card.modality]
    what = f"{card.modality}, {card.task}"
    if not table.names:
        yield f"{PAPER} has no cells of this task ({card.task})"
        return
    where = ", ".join(near or table.names)
    none = "" if near else f"no target of {card.modality} images; all of the task: "
    yield f"published results for {what} ({PAPER}; {none}{where}), gain over random weights in points:"
    yield "  " + ", ".join(
        f"{name} {gain:+.2f}" for name, gain in gains(table.of_targets(near or table.names))
    )


def gains(table: ScoreTable) -> list[tuple[str, float]]:
    """Return each source's mean gain over random weights, the largest first; targets weigh the same."""
    base = table.scores[table.sources.index(RANDOM)]
    found = [
        (name, float(np.nanmean(table.by_target(row - base))))
        for name, row in zip(table.sources, table.scores, strict=True)
        if name != RANDOM
    ]
    return sorted(found, key=lambda each: -each[1])
