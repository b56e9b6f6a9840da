"""What is installed with the package: built-in files, the commit of a checkout, and required packages."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = Path(__file__).parent
PROJECT = "medpt-grid"


def folder(name: str) -> Path:
    """Return the folder `search_spaces` or `reports`.

    A wheel has it inside the package (`force-include` in pyproject.toml puts it there), a checkout beside the
    package.
    """
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


@cache
def commit() -> str:
    """Return the git commit of the checkout that the package runs from; "" where there is none."""
    git = shutil.which("git")
    if git is None or not (PACKAGE.parent / ".git").exists():
        return ""
    command = [git, "-C", str(PACKAGE.parent), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def required_versions(installed: Callable[[str], str] = metadata.version) -> dict[str, str]:
    """Return the installed version of each package that the project requires; "" where it is missing."""
    return {one.name: installed_version(one.name, installed) for one in _requirements()}


def unmet_requirements(installed: Callable[[str], str] = metadata.version) -> dict[str, str]:
    """Return what is wrong with each package that is missing or has an unsuitable version, by name."""
    found = required_versions(installed)
    return {
        one.name: f"{one} (found: {found[one.name] or 'none'})"
        for one in _requirements()
        if not found[one.name] or not one.specifier.contains(found[one.name], prereleases=True)
    }


def _requirements() -> "list[Requirement]":
    from packaging.requirements import Requirement

    declared = [Requirement(line) for line in metadata.requires(PROJECT) or ()]
    return [one for one in declared if one.marker is None or one.marker.evaluate({"extra": ""})]


def installed_version(name: str, installed: Callable[[str], str] = metadata.version) -> str:
    """Return the version of an installed package; "" where it is missing."""
    try:
        return installed(name)
    except metadata.PackageNotFoundError:
        return ""
