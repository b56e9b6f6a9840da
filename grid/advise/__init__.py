"""Recommend an initialization for a user's dataset from the results of a space: `grid.advise`."""
