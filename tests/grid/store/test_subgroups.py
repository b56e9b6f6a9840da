"""Which subgroup each test item belongs to: what was written is read, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from grid.store.store import Store
from grid.store.subgroups import read_groups, write_groups

GROUPS = ["F", "M", "unknown"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    write_groups(made, "data", "sex", GROUPS)
    return made


def test_each_column_is_kept(store: Store) -> None:
    write_groups(store, "data", "site", ["A", "A", "B"])
    assert read_groups(store, "data", "sex") == GROUPS
    assert read_groups(store, "data", "site") == ["A", "A", "B"]
    assert read_groups(store, "other", "sex") == []


@pytest.mark.parametrize("groups", [GROUPS[::-1], GROUPS[:2], [1, 2, 3], "FMu", [["F"]], None])
def test_changed_groups_are_none_until_they_are_written_again(store: Store, groups: Any) -> None:
    path = store.root / "subgroups" / "data.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"columns": {"sex": groups}}))
    assert read_groups(store, "data", "sex") == []
    write_groups(store, "data", "sex", GROUPS)
    assert read_groups(store, "data", "sex") == GROUPS


@pytest.mark.parametrize("content", ["", "{", "[]", '{"columns": 5}', "[" * 100_000])
def test_damaged_document_has_no_groups(store: Store, content: str) -> None:
    (store.root / "subgroups" / "data.json").write_text(content)
    assert read_groups(store, "data", "sex") == []
