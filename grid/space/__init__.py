"""What a space asks for: YAML files to trials and analyses."""

from grid.space.reader import load

__all__ = ["load"]
