"""TCGA-LGG, see medpt/phantom/tcga.py."""

from pathlib import Path

from medpt.phantom import tcga


def write(folder: Path, seed: int, train: int = 8, test: int = 1, size: int = 96) -> None:
    """`train` patients with survival and `test` without; slides of 4 size x 4 size."""
    tcga.write_project(folder, "LGG", seed, train, test, size)
