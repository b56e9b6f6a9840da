import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medpt import phantom
from medpt.analysis import activations, cmd, gabor
from medpt.analysis.__main__ import main
from medpt.analysis.sets import Progress, read
from medpt.data import preprocess
from medpt.errors import InputError
from medpt.models import weights
from medpt.models.registry import build_classifier

QUICK = ["--set", "seeds=1", "size=32", "n=5", "t=10", "inits=kaiming"]


def write_images(folder: Path, mean: int, n: int = 8, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(n):
        pixels = np.clip(rng.normal(mean, 25, (40, 48, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two dark sets and a bright one."""
    means = {"dark": 50, "darker": 35, "bright": 200}
    return [str(write_images(tmp_path / name, mean, seed=mean)) for name, mean in means.items()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    phantom.write("DRIVE", folder / "DRIVE", size=64)
    return folder


def test_cmd_prints_the_matrix_both_epsilons_and_the_controls(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "out" / "pairs.csv"
    assert main(["cmd", *folders, *QUICK, "--controls", "--out", str(table)]) == 0
    out = capsys.readouterr().out
    lines = {line.split()[1]: line.split() for line in out.splitlines() if line.startswith("│")}
    assert lines["dark"][-4:-1] == ["darker", "│", "8"]
    assert lines["darker"][-4:-1] == ["dark", "│", "8"]
    assert "(dark with itself); paper: 4.4976" in out
    assert all(control in out for control in ("mean colour", "average pool", "grey world"))
    rows = list(csv.DictReader(table.open()))
    assert [(row["a"], row["b"]) for row in rows[:2]] == [("dark", "dark"), ("dark", "darker")]
    assert float(rows[0]["average_cmd"]) == pytest.approx(1)
    assert len(rows) == 9


def test_npz_holds_what_the_matrix_is_made_of(folders: list[str], tmp_path: Path) -> None:
    file = tmp_path / "all.npz"
    assert main(["cmd", *folders, *QUICK, "--out", str(file)]) == 0
    with np.load(file) as held:
        cloud = held["coordinates_kaiming"]
        assert cloud.shape == (1, 3, 10, 2)
        assert held["cmd_kaiming"][0, 2] == pytest.approx(cmd(cloud[0, 0], cloud[0, 2]))
        assert list(held["names"]) == ["dark", "darker", "bright"]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["all.npz"]


def test_known_dataset_passes_its_own_pipeline_and_keeps_its_test_set(data: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    other = write_images(tmp_path / "other", 90)
    found = read(["drive", f"mine=fundus:{other}"], data, 32, at_most=6, report=reported.append)
    assert {name: images.shape for name, images in found.items()} == {
        "DRIVE": (6, 32, 32, 3),
        "mine": (6, 32, 32, 3),
    }
    assert reported[0] == "DRIVE: 6 of 20 images, crop_fundus(10)|resize(32)|clahe(2,8)"
    raw = read([str(other)], None, 32, at_most=99, clahe=False)["other"]
    first = np.array(Image.open(other / "0.png"))
    assert np.array_equal(raw[0], preprocess(first, "resize(32)"))


def test_samples_are_of_different_images_and_the_same_each_time(tmp_path: Path) -> None:
    folder = str(write_images(tmp_path / "many", 100, n=12))
    found = read([folder], None, 16, at_most=5)["many"]
    assert np.array_equal(found, read([folder], None, 16, at_most=5)["many"])
    assert len(np.unique(found.reshape(5, -1), axis=0)) == 5


def test_commands_report_every_problem_in_one_pass(
    data: Path, folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = write_images(tmp_path / "single", 9, n=1)
    given = ["DRVE", "TCGA-LGG", f"{tmp_path}/none", folders[0], folders[0], str(single)]
    assert main(["cmd", *given, "--data", str(data)]) == 2
    reported = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in reported] == [
        "unknown dataset 'DRVE'",
        "TCGA-LGG: whole slides",
        f"{tmp_path}/none: no such folder",
        f"{folders[0]}: another set has the name dark already",
        "single: 1 images",
    ]


def test_damaged_images_are_all_named(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for folder in folders[:2]:
        (Path(folder) / "3.png").write_bytes(b"no image")
    assert main(["cmd", *folders, *QUICK]) == 2
    captured = capsys.readouterr()
    bad = [line for line in captured.err.splitlines() if "not an image" in line]
    assert [Path(line.split(":")[0]) for line in bad] == [Path(folder) / "3.png" for folder in folders[:2]]
    assert captured.out == ""


@pytest.mark.parametrize(
    ("extra", "reported"),
    [
        (["--set", "maxpol=avg"], ["--set maxpol=avg: KEY=VALUE is accepted; did you mean maxpool?"]),
        (["--set", "seeds=x", "clahe=no", "nn"], ["--set nn: KEY", "--set seeds: 'x'", "--set clahe: 'no'"]),
        (["--out", "a.txt"], ["--out a.txt: a name that ends in .csv or .npz"]),
    ],
)
def test_bad_options_are_refused(
    extra: list[str], reported: list[str], folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cmd", *folders, *extra]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(reported)
    assert all(line.startswith(start) for line, start in zip(lines, reported, strict=True))


def test_one_image_of_a_set_is_refused(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["cmd", *folders, "--at-most", "1"])
    assert "argument --at-most: `1`: a whole number from 2 is accepted" in capsys.readouterr().err


def test_one_set_is_nothing_to_compare(folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cmd", folders[0]]) == 2
    assert "one set; give two or more to compare" in capsys.readouterr().err


def save_classifier(path: Path, seed: int, backbone: str = "resnet18") -> str:
    torch.manual_seed(seed)
    weights.save(path, build_classifier(backbone, 2).state_dict())
    return str(path)


def test_svcca_prints_a_row_a_layer(
    folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = (save_classifier(tmp_path / f"{seed}.safetensors", seed) for seed in (0, 1))
    assert main(["svcca", before, after, "--images", *folders, "--size", "32"]) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows][:2] == ["conv1", "layer1.0.conv1"]
    assert len(rows) == 18
    images = np.concatenate(list(read(folders, None, 32, at_most=99).values()))
    encoders = [activations.read_encoder(Path(file))[1] for file in (before, after)]
    expected = activations.layer_similarities(*encoders, images)
    assert [row[2].strip() for row in rows] == [f"{point.similarity:.4f}" for point in expected]


def test_filters_prints_scores_and_writes_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gabor, "STARTS", gabor.STARTS[:1])
    before, after = (save_classifier(tmp_path / f"{seed}.safetensors", seed) for seed in (0, 1))
    assert main(["filters", before, after, "--out", str(tmp_path / "panels")]) == 0
    out = capsys.readouterr().out
    assert "before: centroid 0.3" in out
    assert "Gabors 0.0%, scrambled 0.0%" in out
    assert "change ‖after - before‖/‖before‖: 1.4" in out
    assert Image.open(tmp_path / "panels" / "difference.png").size == (476, 476)


def test_two_backbones_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = save_classifier(tmp_path / "a.safetensors", 0)
    after = save_classifier(tmp_path / "b.safetensors", 0, "shufflenet_v2")
    assert main(["filters", before, after]) == 2
    assert f"{before} holds resnet18, {after} shufflenet_v2" in capsys.readouterr().err
    assert main(["filters", "none", str(tmp_path / "no")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_shufflenet_has_no_gabor_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save_classifier(tmp_path / "a.safetensors", 0, "shufflenet_v2")
    assert main(["filters", file, file]) == 0
    assert "Gabor" not in capsys.readouterr().out


def test_progress_speaks_now_and_then_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    reported: list[str] = []
    progress = Progress(4, reported.append)
    for name in "abcd":
        progress(name)
    assert reported == ["2 of 4 (b), 0.18 a second, 11 s left", "4 of 4 (d), 0.31 a second, 0 s left"]


@pytest.mark.real
def test_real_fundus_images_are_nearest_to_each_other(real: Path) -> None:
    from medpt.analysis.distances import distances
    from medpt.analysis.settings import Settings

    names = ["DRIVE", "HRF", "EyePACS", "CHAOS-CT"]
    sets = {}
    for folder in ("official", "derived"):
        for name in names:
            try:
                sets |= read([name], real / folder, 64, at_most=10)
            except InputError:
                continue
    found = distances({name: sets[name] for name in names}, Settings(seeds=1, size=64))
    assert set(found.nearest()[:3]) <= {"DRIVE", "HRF", "EyePACS"}
