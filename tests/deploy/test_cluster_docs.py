"""docs/cluster.md: each command is one that its program takes, and the words to replace are all replaced."""

import re
import shlex
import shutil
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from ray.scripts.scripts import cli

from grid.options import parse_options

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "cluster.md").read_text()
IMAGE = f"OWNER/medpt-grid:{tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['version']}"


def commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def of_ray() -> list[list[str]]:
    lines = [shlex.split(line.partition("  # ")[0].partition(" > ")[0]) for line in commands()]
    lines += [shlex.split(line) for line in re.findall(r"`\.venv/bin/(ray [^`]*)`", TEXT)]
    return [line for line in lines if line[0].endswith("ray")]


@pytest.mark.parametrize("line", of_ray(), ids=" ".join)
def test_ray_takes_the_command(line: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name, *arguments = line[1:]
    context = cli.commands[name].make_context(name, arguments)  # parses and does nothing
    assert not context.args


def inner() -> list[str]:
    """What runs on the head: the quoted command of each `ray exec`, without `cd`."""
    quoted = [line[-1] for line in of_ray() if line[1] == "exec"]
    assert all(
        line.startswith("cd ~/medpt-grid && ") for line in quoted if "python" in line or "make" in line
    )
    return [line.removeprefix("cd ~/medpt-grid && ") for line in quoted]


def test_our_programs_take_theirs(gpus: object) -> None:
    seen = set()
    for line in inner():
        words = shlex.split(line)
        if words[:2] == ["python", "-m"]:
            options = parse_options(words[3:])
            assert (options.out, options.address) == ("/shared/runs", "auto")
            seen.add(words[2])
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file()
            assert gpus._parser().parse_args(words[2:]).gpus == 8  # type: ignore[attr-defined]
            seen.add(words[1])
    assert seen == {"grid.run", "grid.doctor", "deploy/gpus.py"}


def test_make_knows_the_targets_and_variables() -> None:
    line = next(line for line in inner() if "make tracking" in line)
    makefile = (ROOT / "Makefile").read_text()
    names = re.findall(r"\b([A-Z_]+)=", line)
    assert names == ["MEDPT_TRACKING_DB", "VENV", "OUT"]
    assert all(f"{name}" in makefile for name in names)
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    assert "touch /usr/local/.ready" in image  # so that make sets nothing up there


def test_ten_commands_and_no_word_is_left(tmp_path: Path) -> None:
    block = TEXT.split("```\n")[1]
    assert [int(number) for number in re.findall(r"^# (\d+)  ", block, re.MULTILINE)] == list(range(1, 11))
    line = next(line for line in commands() if line.startswith("sed"))
    shutil.copy(ROOT / "cluster.yaml", tmp_path)
    subprocess.run(shlex.split(line), cwd=tmp_path, check=True)
    replaced = yaml.safe_load((tmp_path / "cluster.yaml").read_text())
    assert not re.search(r"\b(IMAGE|FILE_SYSTEM|MACHINE_IMAGE)\b", str(replaced))
    assert replaced["docker"]["image"] == IMAGE
    types = replaced["available_node_types"].values()
    assert {node["node_config"]["ImageId"] for node in types} == {"ami-…"}
    assert "fs-….efs.eu-west-1.amazonaws.com:/ /shared" in str(replaced["initialization_commands"])


@pytest.mark.parametrize("page", ["docs/cluster.md", "deploy/Dockerfile"])
def test_image_is_named_by_the_version(page: str) -> None:
    assert set(re.findall(r"OWNER/medpt-grid:[\w.]+", (ROOT / page).read_text())) == {IMAGE}


def test_what_the_pages_name_exists() -> None:
    for page in ("docs/cluster.md", "docs/tracking.md", "SECURITY.md"):
        text = (ROOT / page).read_text()
        paths = set(re.findall(r"`((?:deploy|docs|tests|grid|search_spaces)/[\w./-]+)`", text))
        assert paths
        assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
        modules = re.findall(r"python -m (grid\.\w+|medpt\.\w+)", text)
        assert all(import_module(name) for name in modules)
    tests = re.findall(r"`(test_\w+\.py)`", (ROOT / "SECURITY.md").read_text())
    assert all(list((ROOT / "tests").rglob(name)) for name in tests)
