"""Questions to planted trials, and the examples of docs/queries.md as they are printed there."""

import math
import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import made_space
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Metric, Param
from rich.console import Console
from scipy import stats

from grid import query, results
from grid.plan.plan import Plan, Unit
from grid.report.tables import print_tables
from grid.results import effects
from grid.results.cells import Cell, find_cells
from grid.store.store import Store
from grid.tracking.client import client, default_uri
from grid.tracking.experiments import experiment_id
from grid.tracking.names import EXPERIMENT
from grid.tracking.runs import DIGEST
from grid.tracking.tracker import record_plan
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.specs import Finetune

PAGE = Path(__file__).parents[3] / "docs" / "queries.md"
LEVELS = {"random": 70.0, "imagenet*": 79.0, "ADE20K": 76.0, "EyePACS": 66.0}  # and a point a doubling
LEVELS_AND_SIZES = ("random", "imagenet*", "ADE20K", "EyePACS-5k", "EyePACS-10k", "EyePACS-20k")
FAILED = ("ADE20K", "HRF", "unet", 2)


def points(spec: Finetune) -> float:
    """The level of the source, less three on DeepLabV3+, and noise of its own for each trial."""
    source, _, size = spec.initialization.partition("-")
    names = (spec.initialization, spec.dataset, spec.architecture, spec.seed)
    noise = np.random.default_rng(stream_seed(1, *names)).normal(0, 0.8)
    doublings = math.log2(int(size[:-1]) / 5) if size else 0.0
    return LEVELS[source] + doublings - 3 * (spec.architecture == "deeplabv3plus") + noise


def record(plan: Plan, out: Path) -> None:
    """What a run leaves in MLflow, and nothing else."""
    connection = client(default_uri(out))
    record_plan(connection, Store(out), plan)
    experiment = experiment_id(connection, out, EXPERIMENT)
    for _, digest in plan.trials:
        record_one(connection, experiment, plan.units[digest])


def record_one(connection: Any, experiment: str, unit: Unit) -> None:
    spec = unit.spec
    assert isinstance(spec, Finetune)
    run = connection.create_run(experiment, run_name=unit.label, tags={DIGEST: unit.digest})
    failed = (spec.initialization, spec.dataset, spec.architecture, spec.seed) == FAILED
    metrics = [] if failed else [Metric("result.miou", points(spec) / 100, 0, 0)]
    connection.log_batch(run.info.run_id, metrics=metrics, params=[Param("target", spec.dataset)])
    connection.set_terminated(run.info.run_id, "FAILED" if failed else "FINISHED")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def vessels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vessels")
    (folder / "runs").mkdir()
    record(made_space.plan(folder, "controls: false\n" + blocks("yaml")[0], "vessels"), folder / "runs")
    return folder


@pytest.fixture(scope="module")
def frame(vessels: Path) -> pd.DataFrame:
    return results.load("vessels", vessels / "runs")


def asked(block: str) -> tuple[list[str], str]:
    """The arguments of a console block's command, and what it shows."""
    command, _, output = block.partition("\n")
    return shlex.split(command.removeprefix("$ "))[3:], output


@pytest.mark.parametrize("number", range(5))
def test_example_prints_what_the_page_shows(
    number: int, vessels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(vessels)
    arguments, shown = asked(blocks("console")[number])
    assert query.main(arguments) == 0
    printed = capsys.readouterr().out
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_python_of_the_page_prints_what_it_shows(vessels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vessels)
    with redirect_stdout(StringIO()) as printed:
        exec(blocks("python")[0], {})  # noqa: S102 - the page's own example
    assert printed.getvalue() == blocks("text")[0]


def of(table: Any, **factors: str) -> dict[str, Any]:
    for name, value in factors.items():
        table = table[table[name] == value]
    (row,) = table.to_dict("records")
    return {str(name): value for name, value in row.items()}


def wide(frame: Any, **factors: str) -> Any:
    """Points by seed (rows) and target and initialization (columns), straight from the frame."""
    for name, value in factors.items():
        frame = frame[frame[name] == value]
    return 100 * frame.pivot_table("miou", "seed", ["target", "initialization"], dropna=False)


def cells(frame: Any) -> list[Cell]:
    return find_cells(frame, "miou")


def variance(row: Any) -> float:
    return float(row.var(ddof=1))


def test_effects_are_means_of_differences_over_targets(frame: pd.DataFrame) -> None:
    row = of(effects.effects(cells(frame)), architecture="unet", initialization="ADE20K")
    table = wide(frame, architecture="unet")
    differences = [table[t, "ADE20K"].mean() - table[t, "random"].mean() for t in ("DRIVE", "HRF")]
    assert row["gain"] == pytest.approx(np.mean(differences))
    assert (row["compared"], row["groups"], row["n"], row["planned"]) == (2, 2, 5, 6)
    error = 0.0  # seeds alone: each cell's variance, moderated by that of its target, / its seeds, / 4
    for target in ("DRIVE", "HRF"):
        columns = [table[target, name].dropna() for name in LEVELS_AND_SIZES]
        pooled = sum(variance(c) * (len(c) - 1) for c in columns) / sum(len(c) - 1 for c in columns)
        for name in ("ADE20K", "random"):
            own = table[target, name].dropna()
            moderated = (4 * pooled + (len(own) - 1) * variance(own)) / (3 + len(own))
            error += moderated / len(own) / 4
    reach = (row["high"] - row["low"]) / 2 / math.sqrt(error)
    assert stats.t.ppf(0.975, 24) < reach < stats.t.ppf(0.975, 5)
    assert row["low"] < 6.0 < row["high"]


def test_effects_find_what_was_planted(frame: pd.DataFrame) -> None:
    table = effects.effects(cells(frame), by=["target"])
    for target in ("DRIVE", "HRF"):
        for name, gain in {"imagenet*": 9, "ADE20K": 6, "EyePACS-5k": -4, "EyePACS-20k": -2}.items():
            assert of(table, target=target, initialization=name)["gain"] == pytest.approx(gain, abs=1.5)
    assert (table["p_holm"] >= table["p"]).all()


def test_unit_of_two_experiments_counts_once(frame: pd.DataFrame) -> None:
    twice = pd.concat([frame, frame.assign(experiment="again")])
    pd.testing.assert_frame_equal(effects.effects(cells(twice)), effects.effects(cells(frame)))
    pd.testing.assert_frame_equal(results.cells(twice, "miou"), results.cells(frame, "miou"))
    by_experiment = results.cells(twice, "miou", ["experiment", "initialization"])
    assert set(by_experiment["experiment"]) == {"sources", "again"}


def test_share_of_a_target_is_a_cell_of_its_own(frame: pd.DataFrame) -> None:
    """Never one mean over two sizes, whose spread would pass for that of seeds; at any width."""
    half = frame.assign(target_size=0.5, miou=frame["miou"] - 0.2)
    both = results.cells(pd.concat([frame, half]), "miou", query.BY)
    whole = results.cells(frame, "miou", query.BY)
    kept = both[both["target_size"] == 1].drop(columns="target_size").reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, whole)
    for width in (80, 200):
        console = Console(width=width, file=StringIO(), highlight=False)
        print_tables(results.find_cells(pd.concat([frame, half])), console)
        assert isinstance(console.file, StringIO)
        printed = console.file.getvalue()
        assert "…" not in printed
        assert "50 %" in printed


def test_best_names_all_that_cannot_be_told_from_the_best(frame: pd.DataFrame) -> None:
    row = of(effects.best(cells(frame)), architecture="unet", target="HRF")
    table = wide(frame, architecture="unet")["HRF"].mean()
    assert (row["best"], row["second"]) == ("imagenet*", "ADE20K")
    assert (row["n"], row["planned"], row["waiting"]) == (3, 3, 0)
    assert row["margin"] == pytest.approx(table["imagenet*"] - table["ADE20K"])
    assert row["low"] < row["margin"] < row["high"]


def test_best_of_equals_is_none_of_them_alone(frame: pd.DataFrame) -> None:
    level = frame.copy()
    level["miou"] = 0.7 + np.random.default_rng(5).normal(0, 0.01, len(level))
    table = effects.best(cells(level))
    assert all(len(names.split(", ")) > 1 for names in table["best"])
    assert ((table["low"] < 0) & (table["margin"] >= 0)).any()


def test_best_without_finished_seeds_says_nothing(frame: pd.DataFrame) -> None:
    open_ = frame[(frame["target"] == "DRIVE") & (frame["architecture"] == "unet")].copy()
    open_.loc[open_["initialization"] != "random", "miou"] = np.nan
    (row,) = effects.best(cells(open_)).to_dict("records")
    assert (row["best"], row["second"], row["waiting"]) == ("random", None, 5)
    assert math.isnan(row["margin"])


def test_doubling_is_the_slope_of_the_means(frame: pd.DataFrame) -> None:
    row = of(effects.sample_size(cells(frame)), architecture="unet", target="DRIVE")
    table = wide(frame, architecture="unet")["DRIVE"].mean()
    means = [table[f"EyePACS-{size}k"] for size in (5, 10, 20)]
    assert row["per_doubling"] == pytest.approx(stats.linregress([0, 1, 2], means).slope)
    assert row["low"] < row["per_doubling"] < row["high"]
    assert (row["sizes"], row["smallest"], row["largest"]) == (3, 5_000, 20_000)


def test_mistakes_are_reported(
    vessels: Path, frame: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="--by seed: no factor of effects; known: architecture"):
        effects.effects(cells(frame), by=["seed"])
    with pytest.raises(InputError, match="--metric mio: no finished trial has it; did you mean miou"):
        query.answer(frame, query.QueryOptions("vessels", metric="mio"))
    with pytest.raises(InputError, match="c_index_ipcw: no finished trial has it; results of version"):
        query.answer(frame, query.QueryOptions("vessels", metric="c_index_ipcw"))
    with pytest.raises(InputError, match="--metric hd95: its smaller values are better"):
        query.answer(frame, query.QueryOptions("vessels", metric="hd95", ask="best"))
    for name in ("target_size", "learning_rate", "loss", "digest", "status"):
        with pytest.raises(InputError, match=f"--metric {name}: no finished trial has it") as raised:
            query.answer(frame, query.QueryOptions("vessels", metric=name))
        assert "learning_rate, " not in str(raised.value)
    with pytest.raises(InputError) as raised:
        query.answer(frame, query.QueryOptions("vessels", where={"target": ("DRIV", "HRF"), "seed": ("77",)}))
    assert [line.partition(":")[0] for line in raised.value.problems] == [
        "--where target=DRIV",
        "--where seed=77",
    ]
    with pytest.raises(InputError, match="--by x: no such factor; known: experiment") as raised:
        query.answer(frame, query.QueryOptions("vessels", by=("x", "target", "y")))
    assert str(raised.value).endswith("--by y: no such factor; known: as above")
    with pytest.raises(SystemExit, match="2"):
        query.main(["--space", "vessels", "--csv", "--format", "json"])
    assert "--format: not allowed with argument --csv" in capsys.readouterr().err
    fixed = ["--space", "vessels", "--out", str(vessels / "runs"), "--metric", "miou"]
    for words, told in {
        ("--ask", "best", "--by", "target"): "--by target: --ask best has its own rows",
        ("--ask", "size", "--where", "initialization=ADE20K"): "no source has finished trials of two sizes",
        ("--ask", "effect", "--where", "initialization=random"): "every trial starts from random weights",
    }.items():
        assert query.main([*fixed, *words]) == 2
        assert told in capsys.readouterr().err
