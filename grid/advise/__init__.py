"""Where a dataset of one's own should start from, by what a space left behind; the command `grid.advise`."""
