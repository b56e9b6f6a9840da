"""What --dry-run says of data that are prepared."""

import re
from pathlib import Path

import made_space
import pytest

from grid.dry_run import counts_table, print_plan
from grid.options import RunOptions, parse_options
from grid.plan.datasets import ABSENT, SpaceDatasets
from grid.store.store import Store
from medpt import cli
from medpt.models.footprint import footprint


def test_images_of_each_class_are_shown_where_shards_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    print_plan(plan, store, SpaceDatasets({}, {}, []), RunOptions("made", store.out), cli.console())
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


@pytest.mark.parametrize(
    ("problems", "expected"),
    [([], "synthetic, drawn when the run starts: DRIVE"), (["DRIVE: no such folder"], "not found: DRIVE")],
)
def test_data_that_are_not_there_are_drawn_or_missing(
    problems: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, store = made_space.plan(tmp_path), Store(tmp_path / "out")
    absent = SpaceDatasets({}, {"DRIVE": ABSENT}, problems)
    print_plan(plan, store, absent, RunOptions("made", store.out), cli.console())
    assert expected in capsys.readouterr().out


def printed_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    plan = made_space.plan(tmp_path)
    arguments = parse_options(["--space", "made", "--out", str(tmp_path / "empty"), *options])
    print_plan(plan, Store(tmp_path / "empty"), SpaceDatasets({}, {}, []), arguments, cli.console())
    return capsys.readouterr().out


def test_total_is_the_sum_of_the_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed_plan(tmp_path, capsys).splitlines()
    titles = ("prepare", "pre-train", "fine-tune", "leak check", "total")
    found = [(title, line.strip()) for line in lines for title in titles if line.strip().startswith(title)]
    rows = {title: line.removeprefix(title).split() for title, line in found}
    total = rows.pop("total")
    for column in (0, 1, 2, 3, 4):
        numbers = [float(row[column].replace(",", "")) for row in rows.values() if row[column] != "–"]
        assert float(total[column].replace(",", "")) == pytest.approx(sum(numbers), abs=0.03)
    assert rows["prepare"][4] == "–"  # no GPU prepares data


def test_time_is_that_of_the_devices_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    printed = printed_plan(tmp_path, capsys, "--cpus", "4")
    assert "time on 4 CPU cores: about" in printed
    assert "time on 1 GPU and 4 CPU cores: about" in printed
    printed = printed_plan(tmp_path, capsys, "--cpus", "4", "--gpus", "8")
    assert [line.partition(":")[0] for line in printed.splitlines() if line.startswith("time on")] == [
        "time on 8 GPUs and 4 CPU cores"
    ]


def test_price_is_that_of_the_gpu_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_plan(tmp_path, capsys, "--dry-run", "--price", "2.50/gpu-hour")
    (line,) = [line for line in printed.splitlines() if line.startswith("price:")]
    hours, price, total = re.fullmatch(r"price: (\S+) GPU hours × (\S+) = (\S+)", line).groups()  # type: ignore[union-attr]
    assert float(total) == pytest.approx(float(hours) * 2.5, abs=0.2)
    assert price == "2.5"


@pytest.mark.parametrize("text", ["2.50", "1.5.2/gpu-hour", "2/cpu-hour", "free"])
def test_price_of_another_form_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--space", "made", "--price", text])
    assert "a price such as 2.50/gpu-hour is accepted" in capsys.readouterr().err


def test_size_of_the_kept_weights_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [
        line for line in printed_plan(tmp_path, capsys).splitlines() if line.startswith("weights kept of")
    ]
    plan = made_space.plan(tmp_path)
    tuned = [unit for unit in plan.units.values() if unit.kind == "finetune"]
    gigabytes = sum(footprint(unit.spec.architecture, unit.spec.backbone).megabytes for unit in tuned) / 1e3  # type: ignore[attr-defined]
    assert line.startswith(f"weights kept of {len(tuned)} fine-tunings: about {gigabytes:,.1f} GB")


def test_finished_fine_tunings_without_weights_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path / "out", set(), {})
    print_plan(plan, store, SpaceDatasets({}, {}, []), RunOptions("made", store.out), cli.console())
    tuned = sum(unit.kind == "finetune" for unit in plan.units.values())
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{tuned} finished fine-tunings kept no weights for predictions; --keep-missing" in printed
