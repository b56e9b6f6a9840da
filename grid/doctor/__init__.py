"""Is everything there for a run? The command `grid.doctor` and what it looks at."""
