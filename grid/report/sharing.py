"""What a page may show of the data when it is passed on: pixels and names of files, or neither."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from grid.report.provenance import Data
from medpt.data.card import DatasetCard

OPEN = ("cc0", "cc by", "public domain", "open access", "mit")  # how licences begin that allow it


@dataclass(frozen=True)
class Sharing:
    """`choice` is the user's, for all datasets; None: those in `allowed` are shown."""

    choice: bool | None
    allowed: frozenset[str]
    datasets: tuple[str, ...]

    def shows(self, *names: str) -> bool:
        """Whether pixels and file names of all these datasets are shown."""
        return self.choice if self.choice is not None else self.allowed.issuperset(names)

    @property
    def everything(self) -> bool:
        """Whether text that may name any file is shown, such as the reason of a failure."""
        return self.shows(*self.datasets)

    @property
    def hidden(self) -> list[str]:
        return [name for name in self.datasets if not self.shows(name)]


def sharing(
    choice: bool | None,
    data: Sequence[Data],
    others: Sequence[DatasetCard] = (),
    synthetic: Collection[str] = (),
) -> Sharing:
    """Take from the cards what may be shown: data under an open licence, and synthetic ones.

    `others` are the cards of cohorts of slides, `synthetic` the names of those that are.
    """
    made = {*synthetic, *(entry.card.name for entry in data if entry.synthetic)}
    cards = {card.name: card for card in (*(entry.card for entry in data), *others)}
    allowed = (name for name, card in cards.items() if name in made or card.licence.lower().startswith(OPEN))
    return Sharing(choice, frozenset(allowed), tuple(cards))
