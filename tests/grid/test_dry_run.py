"""What --dry-run says of data that are prepared."""

from pathlib import Path

import made_space
import pytest

from grid.dry_run import counts_table, print_plan
from grid.plan.datasets import SpaceDatasets
from medpt import cli


def test_images_of_each_class_are_shown_where_shards_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    print_plan(plan, store, SpaceDatasets({}, {}, []), cli.console())
    printed = capsys.readouterr().out
    prepared = [unit for unit in plan.units.values() if unit.kind == "prepare"]
    for unit in prepared:
        assert unit.label in printed
    rows = [line.split() for line in printed.splitlines() if " train " in line]
    assert len(rows) == len(prepared)
    assert all(row[row.index("train") + 1] == "20" for row in rows)


def test_nothing_is_shown_of_data_that_are_not_prepared(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    assert counts_table(plan, store, set()) is None
