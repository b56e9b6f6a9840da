"""The YAML documents of medpt, for the files that the grid reads."""

from medpt.documents import Document, Place

__all__ = ["Document", "Place"]
