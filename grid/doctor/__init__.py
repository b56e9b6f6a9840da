"""Check that a run can start: the command `grid.doctor` and its checks."""
