"""Finished work as tables: frames, cells, comparisons and their statistics. Importing it loads no pandas."""

from grid.results.cells import find_cells
from grid.results.comparisons import cells, compare
from grid.results.frame import load
from grid.results.test_sets import on_test_set

__all__ = ["cells", "compare", "find_cells", "load", "on_test_set"]
