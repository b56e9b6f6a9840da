import logging
import math
from pathlib import Path

import pytest
import torch

from medpt.checkpoint import QUARANTINE, Checkpoints


def state(step: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(step)
    return {
        "model/weight": torch.randn(3, 4),
        "model/half": torch.randn(5).to(torch.bfloat16),
        "model/counter": torch.tensor(step),
        "sum": torch.tensor(0.1, dtype=torch.float64),
        "empty": torch.zeros(0, 2),
    }


def assert_holds(checkpoints: Checkpoints, step: int) -> None:
    found = checkpoints.newest()
    assert found is not None
    tensors, meta = found
    assert meta["step"] == step
    assert tensors.keys() == state(step).keys()
    for name, tensor in state(step).items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


@pytest.fixture
def two(tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path / "ckpt")
    for step in (5, 10):
        checkpoints.save(state(step), {"step": step}, step)
    return checkpoints


def newest_file(checkpoints: Checkpoints) -> Path:
    return max(checkpoints.folder.glob("*.safetensors"))


def test_newest_is_none_without_checkpoints(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "absent").newest() is None


def test_newest_returns_the_saved_tensors_exactly(two: Checkpoints) -> None:
    assert_holds(two, 10)


def test_save_keeps_floats_exactly_and_nan(tmp_path: Path) -> None:
    meta = {"third": 1 / 3, "tiny": 5e-324, "nothing": math.nan, "text": "ü", "list": [1, None]}
    Checkpoints(tmp_path).save({}, meta, 1)
    found = Checkpoints(tmp_path).newest()
    assert found is not None
    assert math.isnan(found[1].pop("nothing"))
    assert found[1] == {name: value for name, value in meta.items() if name != "nothing"}


def test_save_keeps_the_two_newest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (9, 10, 100, 1000):
        checkpoints.save(state(step), {"step": step}, step)
    assert [int(path.name[:10]) for path in sorted(tmp_path.iterdir())] == [100, 1000]
    assert_holds(checkpoints, 1000)


def test_save_writes_equal_files_for_equal_states(tmp_path: Path) -> None:
    paths = [Checkpoints(tmp_path / side).save(state(3), {"a": 1, "b": 2}, 3) for side in "xy"]
    assert paths[0].name == paths[1].name
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1])
def test_cut_file_gives_way_to_the_one_before(
    two: Checkpoints, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = newest_file(two)
    path.write_bytes(path.read_bytes()[:length])
    with caplog.at_level(logging.WARNING):
        assert_holds(two, 5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert path.name in caplog.text
    assert (two.folder / QUARANTINE / path.name).is_file()
    assert not path.exists()


def test_flipped_bit_anywhere_is_seen(tmp_path: Path) -> None:
    content = Checkpoints(tmp_path / "a").save(state(1), {"step": 1}, 1).read_bytes()
    name = newest_file(Checkpoints(tmp_path / "a")).name
    for place in range(0, len(content), 37):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (tmp_path / "b").mkdir(exist_ok=True)
        (tmp_path / "b" / name).write_bytes(flipped)
        assert Checkpoints(tmp_path / "b").newest() is None, place


def test_newest_is_none_if_all_are_damaged(two: Checkpoints) -> None:
    for path in two.folder.glob("*.safetensors"):
        path.write_bytes(b"")
    assert two.newest() is None
    two.save(state(2), {"step": 2}, 2)
    assert_holds(two, 2)


def test_newest_removes_temporary_files_and_ignores_others(two: Checkpoints) -> None:
    (two.folder / ".tmp-0000000099-x").write_bytes(b"half")
    (two.folder / "notes.safetensors").write_bytes(b"mine")
    assert_holds(two, 10)
    assert not (two.folder / ".tmp-0000000099-x").exists()
    assert (two.folder / "notes.safetensors").exists()


def test_clear_removes_all_checkpoints(two: Checkpoints) -> None:
    two.clear()
    assert two.newest() is None
    assert not two.folder.exists()
