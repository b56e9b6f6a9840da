"""The science of medpt-grid: datasets, preprocessing, networks, training and analysis in plain PyTorch.

Nothing here imports the orchestration side; see docs/architecture.md for who may touch what.
"""
