"""MLflow's record of a run: written, read, and served by `make tracking`."""
