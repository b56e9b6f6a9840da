"""The command: what it prints for a folder of images, and when it refuses."""

import csv
import re
from pathlib import Path

import numpy as np
import published
import pytest
from PIL import Image

from grid.advise import __main__ as command
from grid.advise.advice import Advice, advise, paragraph
from grid.advise.evidence import Evidence, ProbeResult
from grid.advise.record import ScoreTable
from grid.compare.sources import Source
from grid.results.comparisons import Interval
from medpt.models import torchvision_weights

SOURCES = [Source("random", "the baseline"), Source("radimagenet", "weights"), Source("imagenet*", "weights")]
SCORES = np.array([[60.0, 60, 60, 60], [80, 80, 80, 66], [75, 78, 79, 78]])
TABLE = ScoreTable("a table", ("random", "radimagenet", "imagenet*"), ("A", "B", "C", "D"), SCORES)


def evidence(decidable: float, **scores: float) -> Evidence:
    probes = [
        ProbeResult(name, Interval(score, score - 5, score + 5), -0.5) for name, score in scores.items()
    ]
    return Evidence("macro_auc", 60, tuple(probes), decidable, tuple(scores))


def names(found: Advice) -> list[str]:
    return [entry.initialization for entry in found.entries]


def test_known_sources_come_greedily_and_the_others_by_their_probe() -> None:
    sources = [*SOURCES, Source("poor", "weights"), Source("SS-Jigsaw", "to do"), Source("good", "weights")]
    found = advise(TABLE, sources, evidence(3.0, poor=60, good=80), "mine")
    assert names(found) == ["imagenet*", "radimagenet", "random", "good", "poor", "SS-Jigsaw"]
    assert found.targets == 4
    assert found.entries[0].alone.mean == pytest.approx(2)
    assert found.entries[1].after.mean == 0


def test_own_target_is_not_used() -> None:
    found = advise(TABLE, SOURCES, evidence(3.0), "D")
    assert names(found)[0] == "radimagenet"
    assert found.targets == 3


def test_list_stops_where_the_test_set_cannot_tell_the_rest() -> None:
    """Greedy regrets, each target left out: 12 on D after one try, else 5, 2 and 1."""
    few, many = (advise(TABLE, SOURCES, evidence(points), "mine") for points in (20.0, 3.0))
    assert (few.enough, many.enough) == (1, 2)
    assert "Stop after 1 try: the rest are not distinguishable from the best" in paragraph(
        few, evidence(20.0)
    )
    assert "Stop after 2 tries" in paragraph(many, evidence(3.0))
    assert "60 test images can show differences of 3.0 points" in paragraph(many, evidence(3.0))


def test_without_a_record_the_probe_alone_orders() -> None:
    found = advise(TABLE.of_targets(["A", "B"]), SOURCES, evidence(3.0, **{"imagenet*": 70.0}), "mine")
    assert names(found) == ["imagenet*", "random", "radimagenet"]
    assert found.enough is None
    assert "2 targets, 3 are needed" in found.notes[0]
    assert paragraph(found, evidence(3.0)).startswith("No scores tell what to try first")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of images that differ in brightness, with described and with torchvision's weights."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("COLUMNS", "200")
    torchvision_weights.write_synthetic(tmp_path, "shufflenet_v2", 1)
    published.describe(tmp_path / "work", "radimagenet")
    dice = np.random.default_rng(0)
    for name, grey in (("ill", 90), ("well", 150)):
        (tmp_path / "skin" / name).mkdir(parents=True)
        for number in range(15):
            pixels = np.clip(dice.normal(grey, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "skin" / name / f"{number}.png")
    return tmp_path


def test_folder_gets_a_list_before_any_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = home / "scores.csv"
    rows = [
        f"{source},{target},{value}"
        for source, value in (("radimagenet", 80), ("random", 60))
        for target in "ABC"
    ]
    scores.write_text("\n".join(["source,target,score", *rows]))
    more = ["--scores", str(scores), "--imagenet-weights", str(home), "--csv", "list.csv"]
    more += ["--backbone", "shufflenet_v2"]
    assert command.main([str(home / "skin"), *more]) == 0
    printed = capsys.readouterr().out
    assert "skin, shufflenet_v2: what to try, in this order" in printed
    assert f"Try radimagenet first: on the 3 targets of {scores}" in printed
    with Path("list.csv").open() as file:
        found = {row["initialization"]: row for row in csv.DictReader(file)}
    assert list(found)[:3] == ["radimagenet", "random", "imagenet*"]
    assert float(found["radimagenet"]["after_mean"]) == 0
    assert float(found["random"]["alone_mean"]) == 20
    assert found["imagenet*"]["alone_mean"] == ""
    assert float(found["imagenet*"]["probe_mean"]) > 90  # brightness is easy for any features
    assert found["SS-Jigsaw"]["probe_mean"] == ""


def test_track_record_needs_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    printed = capsys.readouterr().out
    assert "track record on Wen et al. 2021, classification" in printed
    assert "track record on Wen et al. 2021, segmentation" in printed
    assert "2 tries, chosen greedily on other targets" in printed
    assert "always EyePACS" in printed


def test_page_shows_the_track_record_of_the_paper(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    page = (Path(__file__).parents[3] / "docs" / "queries.md").read_text()
    (shown,) = re.findall(r"\$ medpt-grid advise\n(.*?)```", page, re.DOTALL)
    assert command.main([]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed[: len(shown.splitlines())] == shown.splitlines()


def test_options_that_only_a_folder_needs_are_refused_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["--csv", "rows.csv", "--images", "20", "--data", str(tmp_path)])
    assert "error: --data, --images, --csv: of use with images alone; give DIR too" in capsys.readouterr().err
    assert command.main(["--tracking-uri", "sqlite:///x.db"]) == 2
    assert "--tracking-uri: of use with --space alone" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "problem"), [("rows.csv", ": lies in "), ("..", "is no file")])
def test_table_is_written_beside_the_images(
    file: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    assert command.main([str(images), "--csv", str(images / file)]) == 2
    assert problem in capsys.readouterr().err


def test_all_wrong_options_are_reported_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--backbone", "resnet19", "--images", "1", "--space", "x", "--scores", "y.csv"]
    wrong += ["--csv", str(tmp_path / "no" / "rows.csv")]
    assert command.main([str(tmp_path / "none"), *wrong]) == 2
    message = capsys.readouterr().err
    for text in (
        "--backbone: no backbone 'resnet19'",
        "none: no such folder",
        "--images 1",
        "give one of them",
        "--csv",
    ):
        assert text in message
