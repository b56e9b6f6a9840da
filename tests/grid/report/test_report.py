"""The report of a made space: its tables to the byte, its coverage, its failures, and a page that is safe."""

import base64
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_space
import pandas as pd
import pytest
import yaml
from pages import Reader, digest_of

from grid import report
from grid.plan.plan import Plan
from grid.report.__main__ import main
from grid.report.chart_files import Figures
from grid.report.page import MOST
from grid.results import frame
from grid.store.records import SpaceRecord
from grid.store.store import Store
from grid.tracking.client import client, default_uri
from medpt import identity
from medpt.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden" / "report"
HOSTILE = "<script>alert('x')</script> & \"more\""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A run: ADE20K's pre-training diverged, one seed of HyNet met an error, one of U-Net was not run."""
    out = tmp_path_factory.mktemp("made")
    plan = made_space.plan(out)
    failed = {
        digest_of(plan, "ADE20K · shufflenet_v2"): ("diverged", "the loss is nan at step 7"),
        digest_of(plan, "ISIC2019 → DRIVE · hynet/resnet18 · 1"): ("error", HOSTILE),
    }
    blocked = {digest_of(plan, f"ADE20K → ChestXRay2017 · shufflenet_v2 · {seed}") for seed in (0, 1)}
    not_run = {digest_of(plan, "random → DRIVE · unet/resnet18 · 1")}
    store = made_space.publish(plan, out, blocked | not_run, failed)
    made_space.record_all(store, plan)
    report.build("made", out, images=True)
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


def cell(out: Path, initialization: str, architecture: str = "unet") -> dict[str, Any]:
    table = pd.read_csv(out / "reports" / "made" / "table.csv")
    chosen = (table["initialization"] == initialization) & (table["architecture"] == architecture)
    (row,) = table[chosen].to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.mark.parametrize("name", ["table.csv", "table.tex"])
def test_report_tables_are_golden(made: tuple[Path, Plan], name: str) -> None:
    assert (made[0] / "reports" / "made" / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_trials_csv_has_every_trial_with_its_state(made: tuple[Path, Plan]) -> None:
    trials = pd.read_csv(made[0] / "reports" / "made" / "trials.csv")
    assert len(trials) == len(made[1].trials)
    assert trials["state"].value_counts().to_dict() == {
        "finished": 10,
        "blocked": 2,
        "failed": 1,
        "missing": 1,
    }


def test_report_of_a_lost_run_shows_a_smaller_n(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    before = cell(out, "ISIC2019")
    lost = digest_of(plan, "ISIC2019 → DRIVE · unet/resnet18 · 1")
    run = frame.load("made", out).set_index("digest").loc[lost, "run_id"]
    client(default_uri(out)).delete_run(run)
    (out / "done" / f"{lost}.json").unlink()
    report.build("made", out)
    after = cell(out, "ISIC2019")
    assert (before["n"], after["n"], after["planned"], after["missing"]) == (2, 1, 2, 1)
    assert after["mean"] == pytest.approx(76.0)
    assert pd.isna(after["std"])
    assert re.search(r'76\.00 <small class="short">1 of 2</small>', page(out))
    assert "textbf{76.00} (1 of 2)" in (out / "reports" / "made" / "table.tex").read_text()


def test_report_distinguishes_failed_blocked_and_missing(made: tuple[Path, Plan]) -> None:
    counts = ("n", "planned", "failed", "blocked", "missing")
    assert [cell(made[0], "ADE20K", "classifier")[name] for name in counts] == [0, 2, 0, 2, 0]
    assert [cell(made[0], "ISIC2019", "hynet")[name] for name in counts] == [1, 2, 1, 0, 0]
    assert [cell(made[0], "random")[name] for name in counts] == [1, 2, 0, 0, 1]
    text = page(made[0])
    assert 'blocked <small class="short">0 of 2</small>' in text
    assert '<small class="short">1 of 2</small> <small class="short">1 failed</small>' in text
    assert "10 of 14 trials finished; 1 failed, 2 could not start" in text


def test_report_lists_failures_with_their_reason(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    assert "the loss is nan at step 7" in text
    assert "2 trials need it and could not start" in text
    assert f"failed/{digest_of(made[1], 'ADE20K · shufflenet_v2')}.log" in text


def test_report_lists_a_failure_that_only_mlflow_has(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    digest = digest_of(plan, "ISIC2019 → DRIVE · hynet/resnet18 · 1")
    (out / "failed" / f"{digest}.json").unlink()
    report.build("made", out)
    assert "in MLflow only" in page(out)
    assert cell(out, "ISIC2019", "hynet")["failed"] == 1


def test_report_shows_hostile_names_as_text(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(" in text
    assert "made numbers &amp; &lt;b&gt;sharp&lt;/b&gt; names" in text


def test_page_is_self_contained_and_well_formed(made: tuple[Path, Plan]) -> None:
    reader = Reader()
    reader.feed(page(made[0]))
    assert reader.open == []
    assert reader.tags.count("script") == 1
    assert "link" not in reader.tags
    assert [r for r in reader.references if not r.startswith(("#", "data:"))] == []
    assert re.findall(r"url\((?!#)", page(made[0])) == []
    assert "@import" not in page(made[0])


def test_page_holds_its_tables_and_what_they_came_from(made: tuple[Path, Plan]) -> None:
    links = re.findall(r'<a download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', page(made[0]))
    held = {name: base64.b64decode(data) for name, data in links}
    folder = made[0] / "reports" / "made"
    files = {path.name for path in folder.iterdir() if path.suffix not in (".png", ".pdf", ".html", ".md")}
    assert set(held) == files
    assert all((folder / name).read_bytes() == data for name, data in held.items())
    assert set(yaml.safe_load(held["datasets.yaml"])) == {"ChestXRay2017", "DRIVE", "ISIC2019", "ADE20K"}
    origin = json.loads(held["origin.json"])
    assert origin["commands"] == ["python -m grid.run --space made.yaml --data DIR"]
    assert origin["commands"][0] in page(made[0])
    assert (origin["plans"], origin["machines"]) == ([made[1].digest], ["made"])


def test_page_without_images_has_no_pixel_and_no_file_name(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    names = re.compile(r"image-\d{3}|test-\d")  # of shards and of predictions
    assert names.search(page(out))
    digest = digest_of(plan, "ADE20K · shufflenet_v2")
    Store(out).fail(digest, "data", "image-007.png: not an image", trace="")
    store, space = Store(out), out / "made.yaml"
    store.write_space(replace(store.space("made"), path=str(space)))
    report.build("made", out, images=False)
    assert 'src="data:image' not in page(out)
    assert base64.b64encode(space.read_bytes()).decode() in page(out)
    assert names.search(page(out)) is None
    assert "no images and no file names of" in page(out)
    assert names.search((out / "reports" / "made" / "trials.csv").read_text()) is None


def test_page_shows_images_by_default_where_licences_allow_it(copy: tuple[Path, Plan]) -> None:
    out, _ = copy
    report.build("made", out)
    text = page(out)
    assert 'class="gallery"' not in text  # DRIVE: research use, on registration
    assert "no file names of ADE20K, DRIVE, whose licences" in text
    assert text.count('<div class="examples">') == 2  # of ISIC2019 and ChestXRay2017


def test_page_links_have_a_target(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets
    assert targets <= set(re.findall(r'id="([^"]+)"', text))


def test_page_shows_charts_predictions_and_examples(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    heat, gains, curves, source_curves = 1, 2, 2 * 3, 2 * 2  # curves of metric and loss by network
    assert text.count('<figure class="chart" ') == heat + gains + curves + source_curves
    assert text.count('class="gallery"') == 1
    assert text.count("data:image/png;base64,") > 20
    assert 'id="warnings"' not in text


@pytest.mark.parametrize("name", ["history.json", "predictions.npz", "record.json"])
def test_report_names_a_missing_artifact(copy: tuple[Path, Plan], name: str) -> None:
    out, plan = copy
    digest = digest_of(plan, "ISIC2019 → DRIVE · unet/resnet18 · 0")
    if name == "record.json":
        digest = digest_of(plan, "ISIC2019 · resnet18")
    (out / "units" / digest / name).unlink()
    report.build("made", out, images=True)
    assert f"{plan.units[digest].label}: {name} is missing or is not the file" in page(out)


def test_report_of_an_empty_store_keeps_the_tables(copy: tuple[Path, Plan]) -> None:
    out, _ = copy
    for folder in ("units", "done", "failed"):
        shutil.rmtree(out / folder)
        (out / folder).mkdir()
    report.build("made", out)
    assert cell(out, "ISIC2019")["n"] == 2
    assert "its result is not in the store, so history.json cannot be shown" in page(out)


def test_report_names_a_damaged_shard(copy: tuple[Path, Plan]) -> None:
    out, plan = copy
    (out / "units" / digest_of(plan, "DRIVE") / "shard-00000.parquet").write_bytes(b"not parquet")
    report.build("made", out, images=True)
    assert "DRIVE: the shard shard-00000.parquet cannot be read" in page(out)


def test_page_shows_protocol_values_and_defaults(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    assert "<mark>30</mark> <small>default 30,000</small>" in text
    assert "<mark>40</mark> <small>default 60,000</small>" in text
    for digest, unit in made[1].units.items():
        if unit.kind == "prepare":
            assert digest[:12] in text


def test_page_shows_the_papers_numbers_beside_ours(made: tuple[Path, Plan]) -> None:
    text = page(made[0])
    assert re.search(r"92\.17 .*± 2\.03", text)  # table 2: ShuffleNet V2, random, ChestXRay
    assert re.search(r">−21\.52<", text)


def test_page_names_a_partial_copy_of_the_data(made: tuple[Path, Plan]) -> None:
    assert "30 of 5,856 published images" in page(made[0])


def test_page_names_synthetic_data_and_does_not_compare_them(copy: tuple[Path, Plan]) -> None:
    from medpt.data.fingerprint import fingerprint

    out, _ = copy
    assert "Synthetic data" not in page(out)
    assert "Printed in" in page(out)
    (path,) = (out / "plans").glob("*.json")
    plan = json.loads(path.read_text())
    for name in ("ChestXRay2017", "DRIVE", "ISIC2019", "ADE20K"):
        folder = out / "phantom" / "some" / name
        folder.mkdir(parents=True)
        (folder / "labels.csv").write_text(name)
        for unit in plan["units"].values():
            if unit["kind"] == "prepare" and unit["spec"]["dataset"] == name:
                unit["spec"]["fingerprint"] = fingerprint(folder)
    changed = identity.digest(plan)
    Store(out).write_plan(changed, plan)
    Store(out).write_space(SpaceRecord("made", "", (changed,)))
    report.build("made", out)
    assert "Synthetic data</b> (ADE20K, ChestXRay2017, DRIVE, ISIC2019)" in page(out)
    assert "Printed in" not in page(out)


def test_page_reports_a_run_of_fewer_trials_than_the_space(
    copy: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = copy
    assert "trials of the space" not in page(out)
    larger = made_space.SPACE.replace("seed: [0, 1]", "seed: [0, 1, 2]")
    (out / "made.yaml").write_text(larger)
    monkeypatch.setattr("grid.space.reader.FOLDER", out)
    report.build("made", out)
    assert "planned with 14 of the 21 trials of the space" in page(out)


def test_page_shows_many_findings_as_a_table(
    copy: tuple[Path, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = copy
    assert '<dl class="findings">' in page(out)
    monkeypatch.setitem(MOST, "sentences", 2)
    report.build("made", out)
    assert '<dl class="findings">' not in page(out)
    assert re.search(r'<td class="num" data-sort="[0-9.]+">\+6\.00</td>\s*<td>.*better', page(out))


def test_report_of_an_unfinished_space(tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path)
    store = made_space.publish(plan, tmp_path, set(plan.units), {})
    uri = made_space.record_all(store, plan)
    report.build("made", tmp_path, uri)
    text = page(tmp_path)
    assert "0 of 14 trials finished; 14 not run." in text
    assert "no comparison" in text


def test_command_prints_the_page_and_refuses_in_one_line(
    made: tuple[Path, Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--space", "made", "--out", str(made[0])]) == 0
    assert capsys.readouterr().out.strip().endswith("reports/made/index.html")
    assert main(["--space", "mode", "--out", str(made[0])]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_report_of_a_space_that_never_ran_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not run"):
        report.build("made", tmp_path)
    assert not (tmp_path / "reports").exists()
