"""Which initializations to try first for a folder of images, and how good such advice was: `grid.advise`."""
