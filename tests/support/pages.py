"""Reads a report's page."""

from html.parser import HTMLParser

from grid.plan.plan import Plan


def digest_of(plan: Plan, label: str) -> str:
    return next(digest for digest, unit in plan.units.items() if unit.label == label)


class Reader(HTMLParser):
    """Collects references and checks that elements nest."""

    VOID = frozenset({"meta", "img", "br", "line", "polyline", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attributes if name in ("src", "href", "srcset")]
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
