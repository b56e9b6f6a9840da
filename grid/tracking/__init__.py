"""MLflow's record of a run: written, read, how it is reached, and the server that `make tracking` starts."""
