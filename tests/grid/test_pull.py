"""What `grid.pull` refuses leaves no folders behind; tests/grid/registry has what it takes over."""

from pathlib import Path

import pytest

from grid import pull


def test_place_without_a_batch_is_refused_before_folders_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--from", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")]
    assert pull.main(["--space", "demo", *place]) == 2
    assert "nothing has no batch of finished units; --from names a registry" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_data_are_refused_before_folders_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batches, registry = tmp_path / "registry" / "batches", tmp_path / "registry"
    batches.mkdir(parents=True)
    (batches / f"{'0' * 64}.json").touch()
    (tmp_path / "data").mkdir()
    place = ["--from", str(registry), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert pull.main(["--space", "real-mini", *place]) == 2
    assert "ISIC2019: no folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
