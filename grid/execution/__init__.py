"""Run the units of a plan: which starts next, in which process, and what happens after a failure."""
