"""Files that the package reads: built-in spaces, the paper's numbers and claims, templates of the report."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the folder `search_spaces` or `reports`.

    A wheel has it inside the package (`force-include` in pyproject.toml puts it there), a checkout beside the
    package.
    """
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
