"""Foreign files: nested containers become dotted names; what is not tensors alone is one message."""

import argparse
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from medpt.errors import InputError
from medpt.models import tensor_file
from medpt.models.tensor_file import file_format, read_tensors


class Trap:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("sprung"),)


def test_nested_tensors_have_dotted_names_in_the_order_of_the_file(tmp_path: Path) -> None:
    content = {"b": OrderedDict(y=torch.ones(1), x=torch.zeros(2)), "epoch": 3, "a": [torch.ones(3), None]}
    for zipped in (True, False):
        torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=zipped)
        tensors = read_tensors(tmp_path / "w", "torch")
        sizes = [(name, tensor.numel()) for name, tensor in tensors.items()]
        assert sizes == [("b.y", 1), ("b.x", 2), ("a.0", 3)]


def test_file_format_follows_the_content(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(1)}, tmp_path / "a")
    save_file({"x": torch.ones(1)}, tmp_path / "b")
    assert (file_format(tmp_path / "a"), file_format(tmp_path / "b")) == ("torch", "safetensors")
    with pytest.raises(InputError, match="a safetensors file; write `format: safetensors`"):
        read_tensors(tmp_path / "b", "torch")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        read_tensors(tmp_path / "a", "safetensors")


def test_no_code_runs_and_the_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap").write_bytes(pickle.dumps(Trap(), protocol=2))
    torch.save({"x": torch.ones(1), "args": argparse.Namespace(lr=1)}, tmp_path / "args")
    with pytest.raises(InputError, match=r"more than tensors \(argparse\.Namespace\).*save its state dict"):
        read_tensors(tmp_path / "args", "torch")
    with pytest.raises(InputError):
        read_tensors(tmp_path / "trap", "torch")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<html>Sign in</html>", "a page of a web site"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file of Keras"),
        (b"", "damaged, or of another format"),
    ],
)
def test_other_files_are_named(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=f"w.pth: not a complete PyTorch file of tensors .*: {what}"):
        read_tensors(tmp_path / "w.pth", "torch")


def test_files_without_tensors_and_compressed_ones_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "none")
    with pytest.raises(InputError, match="there is no tensor in this file"):
        read_tensors(tmp_path / "none", "torch")
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10**6))
    with pytest.raises(InputError, match="its content is compressed"):
        read_tensors(tmp_path / "bomb", "torch")


def test_containers_that_multiply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_file, "MOST_VALUES", 1000)
    value: object = [torch.ones(1)]
    for _ in range(12):
        value = [value, value]
    torch.save(value, tmp_path / "w")
    with pytest.raises(InputError, match="nested too deep or too large"):
        read_tensors(tmp_path / "w", "torch")


@settings(max_examples=60)
@given(cut=st.integers(0, 1100), flip=st.integers(0, 1100), value=st.integers(0, 255))
def test_any_damage_gives_tensors_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.pth"
    torch.save({"x": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[flip % len(content)] = value
    path.write_bytes(content[: max(1, len(content) - cut)] if cut % 2 else content)
    with suppress(InputError):  # anything else fails the test
        assert list(read_tensors(path, "torch"))
