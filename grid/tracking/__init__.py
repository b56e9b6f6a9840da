"""MLflow's record of a run: how it is reached, and the server that `make tracking` starts."""
