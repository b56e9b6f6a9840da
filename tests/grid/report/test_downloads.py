"""Links that hold a file give back its bytes."""

import base64
import gzip
import re
from dataclasses import replace
from pathlib import Path

import made_space
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid import package_data
from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.report import downloads
from grid.results.stored_space import StoredSpace
from grid.store.store import Store

LINK = re.compile(r'<a download="([^"]*)" href="data:([a-z/+-]+);base64,([^"]*)">[^<]*</a>')


def read(link: str) -> tuple[str, str, bytes]:
    found = LINK.fullmatch(link)
    assert found
    name, kind, text = found.groups()
    return name, kind, base64.b64decode(text)


@given(st.binary(max_size=300))
def test_link_holds_the_file(data: bytes) -> None:
    assert read(downloads.link({"table.csv": data}, "table.csv")) == ("table.csv", "text/csv", data)


def test_large_files_are_compressed_and_the_same_each_time() -> None:
    data = b"a,b\n" * downloads.LARGE
    link = downloads.link({"trials.csv": data}, "trials.csv")
    name, kind, packed = read(link)
    assert (name, kind) == ("trials.csv.gz", "application/gzip")
    assert gzip.decompress(packed) == data
    assert link == downloads.link({"trials.csv": data}, "trials.csv")


def test_names_are_text() -> None:
    assert "<b>" not in downloads.link({"<b>.yaml": b""}, "<b>.yaml")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return made_space.plan(tmp_path_factory.mktemp("downloads"))


@pytest.mark.parametrize(
    ("path", "name"),
    [(package_data.folder("search_spaces") / "demo.yaml", "demo"), (Path("own/demo.yaml"), "demo.yaml")],
)
def test_command_names_a_built_in_space_or_the_file_that_the_page_holds(
    plan: Plan, tmp_path: Path, path: Path, name: str
) -> None:
    store, demo = Store(tmp_path), replace(plan, space="demo")
    record_start(store, demo, path)
    found = downloads.commands(StoredSpace(demo, store), needs_data=False)
    assert found == [f"python -m grid.run --space {name}"]


def test_commands_have_every_selection_and_the_folder_of_the_data(plan: Plan, tmp_path: Path) -> None:
    chosen = replace(plan, selection="--limit 1\n--filter seed=0")
    assert downloads.commands(StoredSpace(chosen, Store(tmp_path)), needs_data=True) == [
        "python -m grid.run --space made --limit 1 --data DIR",
        "python -m grid.run --space made --filter seed=0 --data DIR",
    ]
