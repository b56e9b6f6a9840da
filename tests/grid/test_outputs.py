"""No command writes among the files that it reads, where the next command would take them for input."""

import sys
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("grid.prepare DRIVE images --to images/shards", "--to"),
        ("grid.slides TCGA-LGG images --to images", "--to"),
        ("grid.predict --space demo --out results images --to images/found", "--to"),
        ("grid.predict --space demo --out results images --to results/units/found", "--to"),
        ("grid.export --space demo --out results --to results/units/network.pt2", "--to"),
        ("grid.publish --space demo --out results --to results/registry", "--to"),
        ("grid.publish --space demo --out results --to results", "--to"),
        ("grid.pull --space demo --from registry --out registry/results", "--out"),
        ("medpt.data.__main__ check DRIVE images --preview images/sheet.png", "--preview"),
    ],
)
def test_output_in_the_input_is_refused(
    command: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("images", "results", "registry"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    module, *arguments = command.split()
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    assert import_module(module).main(arguments) == 2
    problem = capsys.readouterr().err
    assert problem.startswith(f"{option} ")
    assert "; a place outside of it is accepted" in problem
    assert not [path for path in tmp_path.rglob("*") if path.parent != tmp_path]


def test_size_beside_a_pipeline_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare = import_module("grid.prepare")
    rest = ["--to", str(tmp_path / "to"), "--size", "32", "--pipeline", "resize(64)"]
    assert prepare.main(["DRIVE", str(tmp_path / "images"), *rest]) == 2
    message = "--size 32: `--pipeline resize(64)` has its own resize; leave one out"
    assert message in capsys.readouterr().err
