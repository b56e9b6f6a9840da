"""Finished work as tables: frames, cells, effects and their statistics. Importing it loads no pandas."""

from grid.results.cells import cells, find_cells
from grid.results.frame import load

__all__ = ["cells", "find_cells", "load"]
