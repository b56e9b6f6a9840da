"""A distribution as an installer leaves it, for tests of entry points: metadata on the path, no pip."""

import os
import tomllib
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "example_extension"
SPACE = """
title: networks and a method of another package
size: 32
pretrain: {min_steps: 0, max_steps: 4, evaluate_every: 2}
finetune: {min_steps: 0, max_steps: 4, evaluate_every: 2}
controls: false
experiments:
  - initialization: [random, SS-denoising]
    backbone: [five_blocks]
    architecture: [fcn, unet]
    target: [DRIVE, ChestXRay2017]
    seed: [0]
"""


def installed(folder: Path, project: dict[str, Any]) -> Path:
    """Writes the dist-info folder of the table [project] of a pyproject.toml; returns `folder`."""
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    header = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(header)
    groups = project.get("entry-points", {}).items()
    lines = [[f"[{group}]", *(f"{k} = {v}" for k, v in points.items())] for group, points in groups]
    (info / "entry_points.txt").write_text("\n".join("\n".join(group) for group in lines) + "\n")
    return folder


def example(**changes: Any) -> dict[str, Any]:
    """[project] of the example extension, with changes."""
    project: dict[str, Any] = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    return project | changes


def project(name: str, group: str, **points: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "entry-points": {f"medpt.{group}": points}}


def environment(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, (*folders, EXAMPLE)))}
