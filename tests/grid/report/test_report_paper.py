"""The paper's report on a made store: a section a table and figure, honest counts, tests, files."""

import html
import math
import re
import shutil
from pathlib import Path

import made_paper
import made_space
import numpy as np
import pandas as pd
import pytest
from pages import Reader, digest_of
from scipy import stats

from grid import report, results
from grid.claims import published, verdicts
from grid.plan.plan import Plan
from grid.report.chart_files import Figures
from grid.tracking.client import client, default_uri

GOLDEN = Path(__file__).parents[2] / "golden" / "report" / "paper"
KEYS = [
    *("figure-2", "figure-3a", "figure-3b", "table-2", "figure-5", "figure-6a", "figure-6b", "figure-7b"),
    *("table-4", "table-5", "table-6"),
]
LOST = "random → ChestXRay2017 · resnet18 · 1"  # of figures 3a and 5


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    out = tmp_path_factory.mktemp("paper")
    plan = made_space.plan(out, made_paper.SPACE)
    store = made_space.publish(plan, out, set(), {})
    made_space.record_all(store, plan)
    report.build("made", out)
    return out, plan


@pytest.fixture
def copy(made: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Plan]:
    """A copy to change and report again, without the charts for download."""
    monkeypatch.setattr(Figures, "files", lambda _: {})
    out = tmp_path / "copy"
    shutil.copytree(made[0], out)
    return out, made[1]


def page(out: Path) -> str:
    return (out / "reports" / "made" / "index.html").read_text()


def section(out: Path, key: str) -> str:
    found = re.search(f'<section id="{key}".*?</section>', page(out), re.DOTALL)
    assert found, key
    return html.unescape(found.group())


def table(out: Path, key: str) -> pd.DataFrame:
    return pd.read_csv(out / "reports" / "made" / f"{key}.csv")


def unit(plan: Plan, kind: str) -> str:
    return next(digest for digest, unit in plan.units.items() if unit.kind == kind)


@pytest.mark.parametrize("key", KEYS)
def test_report_tables_are_golden(made: tuple[Path, Plan], key: str) -> None:
    assert (made[0] / "reports" / "made" / f"{key}.csv").read_bytes() == (GOLDEN / f"{key}.csv").read_bytes()


def test_sections_follow_the_papers_order(made: tuple[Path, Plan]) -> None:
    assert re.findall(r'<section id="((?:figure|table)[^"]*)"', page(made[0])) == KEYS
    navigation = re.search(r"<nav>.*?</nav>", page(made[0]), re.DOTALL)
    assert navigation
    assert [key for key in re.findall(r'href="#([^"]+)"', navigation.group()) if key in KEYS] == KEYS


def test_experiments_outside_the_paper_have_general_sections(made: tuple[Path, Plan]) -> None:
    general = section(made[0], "results")
    assert "CE-Net" in general
    assert "ChestXRay2017" not in general


def test_page_is_self_contained_and_well_formed(made: tuple[Path, Plan]) -> None:
    reader = Reader()
    reader.feed(page(made[0]))
    assert reader.open == []
    assert [name for name in reader.references if not name.startswith(("#", "data:"))] == []
    assert 'id="warnings"' not in page(made[0])


def test_every_section_shows_two_of_three_for_a_lost_run(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    lost = digest_of(plan, LOST)
    frame = results.load("made", out)
    run = str(dict(zip(frame["digest"], frame["run_id"], strict=True))[lost])
    client(default_uri(out)).delete_run(run)
    (out / "done" / f"{lost}.json").unlink()
    report.build("made", out)
    for key in ("figure-3a", "figure-5"):
        (row,) = table(out, key).query("initialization == 'random'").to_dict("records")
        assert (row["n"], row["planned"]) == (2, 3)
        assert row["mean"] == pytest.approx(100 * (0.70 + 0.726) / 2)
        assert '<small class="short">2 of 3</small>' in section(out, key)
        assert "random (2 of 3)" in section(out, key)  # in the chart
    assert "2 of 3" not in section(out, "figure-3b")
    judged = section(out, "claims")
    assert "ResNet-18 · Random → ChestXRay: 2 of 3 seeds" in judged or "undecidable" in judged


def test_finished_space_shows_no_missing_seeds(made: tuple[Path, Plan]) -> None:
    assert "2 of 3" not in page(made[0])


def test_rows_beside_the_paper_have_one_of_three_verdicts(made: tuple[Path, Plan]) -> None:
    rows = table(made[0], "table-2")
    assert len(rows) == 4
    for row in rows.to_dict("records"):
        assert row["difference"] == pytest.approx(row["mean"] - row["paper_mean"], abs=1e-3)
        assert row["paper_low"] < row["difference"] < row["paper_high"]
        differs = row["paper_low"] > 0 or row["paper_high"] < 0
        assert row["paper_verdict"] in (("differs", "agrees") if differs else ("agrees", "cannot tell"))


def test_gains_of_survival_have_the_corrected_resampled_interval(made: tuple[Path, Plan]) -> None:
    frame = results.load("made", made[0]).query("experiment == 'table 5'")
    starts = {name: group.sort_values("seed")["c_index"] for name, group in frame.groupby("initialization")}
    gains = 100 * (starts["imagenet*"].to_numpy() - starts["random"].to_numpy())
    error = (gains.var(ddof=1) * (1 / len(gains) + 0.25)) ** 0.5
    low, high = stats.t.interval(0.95, len(gains) - 1, gains.mean(), error)
    (row,) = table(made[0], "table-5").query("initialization == 'imagenet*'").to_dict("records")
    assert (row["over_random_low"], row["over_random_high"]) == pytest.approx((low, high), rel=1e-4)
    assert row["note"] == "each seed has its own split"


def test_paper_numbers_are_the_printed_ones(made: tuple[Path, Plan]) -> None:
    (row,) = (
        table(made[0], "table-2")
        .query("initialization == 'CheXpert-20k' and target == 'DRIVE'")
        .to_dict("records")
    )
    _, mean, std = published.cells()["ShuffleNet V2", "CheXpert-20k", "DRIVE"]
    assert (row["paper_mean"], row["paper_std"]) == (mean, std)
    assert f"{mean:.2f} ± {std:.2f}" in section(made[0], "table-2")


def test_survival_shows_both_indices(made: tuple[Path, Plan]) -> None:
    rows = table(made[0], "table-5")
    assert (rows["mean"] - rows["paper_equation"]).tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert (rows["harrell_low"] < rows["mean"]).all()
    assert (rows["harrell_high"] > rows["mean"]).all()
    assert (rows["mean"] - rows["by_uno"]).tolist() == pytest.approx([2.0, 2.0], abs=1e-3)
    text = section(made[0], "table-5")
    assert "By Uno" in text
    assert text.count("18.00") == len(rows)  # the integrated Brier score
    assert text.count("<svg") == 2  # gain over random weights, and risk groups
    assert "random p = 0.040; imagenet* p = 0.040; seed 0" in text
    assert "Cox on clinical data" in section(made[0], "table-6")


def test_table_4_shows_the_papers_counts(made: tuple[Path, Plan]) -> None:
    rows = table(made[0], "table-4").set_index("row")
    assert rows["ours"].to_dict() == {
        "patients": 11,
        "WSIs": 11,
        "extracted patches": 1100,
        "valid patches": 440,
    }
    assert rows.loc["valid patches", "paper"] == 103512
    assert "lost.svs: does not open" in section(made[0], "table-4")


def test_distances_equal_those_of_the_stored_points(made: tuple[Path, Plan]) -> None:
    """Slowly: the mean distance of all points, divided by the reference's own, over seeds and inits."""
    out, plan = made
    stored = {
        plan.units[digest].label.removeprefix("cmd · "): dict(
            np.load(out / "units" / digest / "coordinates.npz")
        )
        for digest, unit in plan.units.items()
        if unit.kind == "coordinates"
    }

    def cmd(a: np.ndarray, b: np.ndarray, own: bool) -> float:
        pairs = [math.dist(p, q) for i, p in enumerate(a) for j, q in enumerate(b) if not own or i != j]
        return sum(pairs) / len(pairs)

    def mean_cmd(a: str, b: str, init: str) -> float:
        clouds = zip(stored[a][init], stored[b][init], strict=True)
        return float(np.mean([cmd(p, q, a == b) for p, q in clouds]))

    for row in table(out, "figure-2").to_dict("records"):
        parts = [
            mean_cmd(row["a"], row["b"], init) / mean_cmd("ADE20K", "ADE20K", init)
            for init in ("kaiming", "orthogonal", "xavier")
        ]
        assert row["average_cmd"] == pytest.approx(np.mean(parts), rel=1e-4)
    text = section(out, "figure-2")
    natural = {"ADE20K", "CIFAR-100"}
    rows = [row for row in table(out, "figure-2").to_dict("records") if row["a"] != row["b"]]
    nearest = [
        min((r for r in rows if name in (r["a"], r["b"])), key=lambda r: r["average_cmd"]) for name in stored
    ]
    alike = sum((row["a"] in natural) == (row["b"] in natural) for row in nearest)
    assert f"of the same modality for {alike} of 4 datasets; 4 have another dataset of their modality" in text
    assert "4.498" in text


def test_layers_and_filters_equal_the_stored_ones(made: tuple[Path, Plan]) -> None:
    layers = table(made[0], "figure-6a")
    assert len(layers) == 2 * len(made_paper.LAYERS)
    assert set(layers["source"]) == {"imagenet*", "ISIC2019"}
    assert section(made[0], "figure-6b").count("data:image/png") == 6
    assert table(made[0], "figure-6b")["gabor_fraction_after"].between(0, 1).all()


@pytest.mark.parametrize(("kind", "name"), [("svcca", "svcca.npz"), ("coordinates", "coordinates.npz")])
def test_report_names_a_missing_artifact(copy: tuple[Path, Plan], kind: str, name: str) -> None:
    out, plan = copy
    (out / "units" / unit(plan, kind) / name).unlink()
    report.build("made", out)
    assert f"{name} is missing or is not the file" in page(out)


def test_unfinished_analyses_are_counted(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    for digest, entry in plan.units.items():
        if entry.kind in ("coordinates", "svcca"):
            (out / "done" / f"{digest}.json").unlink()
    report.build("made", out)
    assert "0 of 4 datasets are finished; two are needed." in section(out, "figure-2")
    assert "Finished sources: 0 of 2." in section(out, "figure-6a")
    assert "2 of 8 analyses finished." in page(out)


def test_claims_of_the_paper_are_judged(made: tuple[Path, Plan]) -> None:
    rows = pd.read_csv(made[0] / "reports" / "made" / "claims.csv").set_index("id")
    assert rows["paper"].to_dict() == {verdict.id: verdict.verdict for verdict in verdicts.paper()}
    assert rows.loc["C19", "ours"] == "undecidable: cells are missing"
    assert rows["held"].to_dict()["C20"] > 0
    text = section(made[0], "claims")
    assert "errors and omissions of the paper" in text
    assert all(f'<th scope="row">{name}</th>' in text for name in rows.index)


def test_cells_link_to_their_runs(copy: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    out, plan = copy
    frame = results.load("made", out)
    run = str(dict(zip(frame["digest"], frame["run_id"], strict=True))[digest_of(plan, LOST)])
    assert f"run {run}" in section(out, "figure-3a")
    assert f"#/runs/{run}" not in page(out)
    monkeypatch.setattr("grid.results.frame.trials_frame", lambda *_: frame.copy())
    report.build("made", out, "https://tracker.example/")
    assert f'href="https://tracker.example/#/runs/{run}"' in section(out, "figure-3a")


def test_every_section_with_charts_has_a_pdf(made: tuple[Path, Plan]) -> None:
    names = {path.name for path in (made[0] / "reports" / "made").glob("*.pdf")}
    keys = {*KEYS, "gain-map", "gain", "curves", "source-curves"} - {"figure-6b", "table-4"}
    assert names == {f"{key}.pdf" for key in keys}
