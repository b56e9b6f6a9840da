"""What a file of another laboratory may hold: numbers, short texts and weights, and nothing that runs."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from grid.registry import arrays
from grid.registry.artifacts import SHARED, read
from medpt.errors import InputError
from medpt.specs import SPECS


def archive(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


class Bomb:
    """What unpickles itself into a file that should not be."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("unpickled"),)


def test_every_kind_of_unit_says_what_it_shares() -> None:
    assert SHARED.keys() == SPECS.keys()


def test_numbers_and_weights_are_accepted() -> None:
    read("probe.npz", archive(auc=np.ones(2)))
    read("history.json", json.dumps([{"step": 1, "train_loss": 0.5, "time": 1.5}]).encode())
    read("best.safetensors", save({"weight": np.ones((2, 2), np.float32)}))


@pytest.mark.parametrize("content", ["5", "null", "{}", "[1]"])
def test_history_without_steps_is_refused(content: str) -> None:
    for name in ("history.json", "early.json"):
        with pytest.raises(InputError, match="has no list of steps"):
            read(name, content.encode())


@pytest.mark.parametrize("content", ["5", "null", "[]", '"a"'])
def test_record_without_names_is_refused(content: str) -> None:
    with pytest.raises(InputError, match="has no names with values"):
        read("record.json", content.encode())


def test_pickles_are_refused_and_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = archive(scores=np.array([Bomb()], dtype=object))
    for name in ("items.npz", "history.json", "best.safetensors"):
        for content in (objects, pickle.dumps(Bomb())):
            with pytest.raises(InputError):
                read(name, content)
    assert not (tmp_path / "unpickled").exists()


def test_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive(scores=np.zeros(100_000))
    monkeypatch.setattr(arrays, "LARGEST", 10_000)
    assert len(content) < 10_000
    with pytest.raises(InputError, match="unpacks to"):
        read("items.npz", content)


@pytest.mark.parametrize("text", ["/home/someone/image", "a\\b", "x" * 101, "a\x1b[31m"])
@pytest.mark.parametrize("place", ["key", "value", "list"])
def test_texts_that_may_be_paths_are_refused(text: str, place: str) -> None:
    value: Any = {"key": {text: 1}, "value": {"a": text}, "list": {"a": [[text]]}}[place]
    with pytest.raises(InputError, match="may be a path"):
        read("record.json", json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_noise_is_refused_in_one_sentence(content: bytes) -> None:
    for name in ("items.npz", "best.safetensors"):
        with pytest.raises(InputError):
            read(name, content)


def test_members_of_an_archive_are_never_extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("../evil.npy", archive(a=np.ones(1)))
    with pytest.raises(InputError):
        read("items.npz", file.getvalue())
    assert list(tmp_path.parent.glob("evil*")) == []
