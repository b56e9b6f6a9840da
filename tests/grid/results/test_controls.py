"""Controls of a stored space, in the frame, the query and the report."""

from pathlib import Path

import made_space
import pytest

from grid import query, report
from grid.results import frame
from grid.results.controls import RANDOM_NETWORKS, TRIVIAL
from grid.store.store import Store

TEXT = made_space.SPACE.replace("controls: false", "controls: true")
CHOSEN = "without images: file size"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls")
    plan = made_space.plan(folder, TEXT)
    made_space.publish(plan, folder, set(), {})
    return folder


def test_frame_has_the_controls_of_each_target(out: Path) -> None:
    controls = frame.load("made", out).attrs["controls"]
    found = {(one.name, one.target, one.backbone): one for one in controls}
    assert set(found) == {
        (TRIVIAL, "ChestXRay2017", ""),
        (CHOSEN, "ChestXRay2017", ""),
        (RANDOM_NETWORKS, "ChestXRay2017", "shufflenet_v2"),
        (TRIVIAL, "DRIVE", ""),
        (CHOSEN, "DRIVE", ""),
        (RANDOM_NETWORKS, "DRIVE", "resnet18"),
    }
    networks = found[RANDOM_NETWORKS, "ChestXRay2017", "shufflenet_v2"]
    assert (networks.networks, networks.mean("auc"), networks.std("auc")) == (20, 60.0, 2.0)
    assert found[TRIVIAL, "DRIVE", ""].mean("miou") == 47.25
    assert len(networks.digests) == 6


def test_missing_control_is_no_control(out: Path, tmp_path: Path) -> None:
    plan = made_space.plan(tmp_path, TEXT)
    made_space.publish(plan, tmp_path / "out", set(plan.controls), {})
    assert frame.load("made", tmp_path / "out").attrs["controls"] == []


def test_query_shows_controls_as_rows_and_warns(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert query.main(["--space", "made", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert f"({CHOSEN})" in printed.out
    assert f"({RANDOM_NETWORKS})" in printed.out
    assert f"the control `{CHOSEN}` reaches" in printed.err
    assert "DRIVE" not in printed.err  # its controls are below the best cell


def test_query_of_one_initialization_has_the_controls_of_its_groups(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        query.main(["--space", "made", "--out", str(out), "--where", "target=DRIVE", "--format", "csv"]) == 0
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if "(" in line]
    assert len(lines) == 3
    assert all("DRIVE" in line for line in lines)


def test_report_lists_controls_and_warns(out: Path) -> None:
    page = report.build("made", Store(out).root).read_text(encoding="utf-8")
    assert 'id="controls"' in page
    assert page.count(CHOSEN) >= 3
    assert "the control <code>without images: file size</code> reaches" in page
