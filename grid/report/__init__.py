"""The page on a space: `page` gathers it, the other files are its sections, charts and tables.

Importing this package loads neither pandas nor matplotlib.
"""

from grid.report.page import build

__all__ = ["build"]
