"""Patches through Ray Data: the files of a plain loop, resumed by slide; bad slides do not affect others."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from grid.claims.published import cohort_counts
from grid.cluster.ray_session import ray_session
from grid.preparation.pipeline import Destination
from grid.preparation.slides import PatchJob, extract_all
from grid.slides import main, table4
from medpt import phantom
from medpt.data import open_dataset
from medpt.errors import InputError
from medpt.specs import Slides
from medpt.survival import patch_files
from medpt.survival.patch_files import CohortManifest, slide_path

PATCHES = {"candidates": 20, "box": 64, "size": 32}


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with ray_session(cpus=2):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom.write("TCGA-GBM", tmp_path_factory.mktemp("slides") / "gbm", train=5, test=0, size=96)


def job(source: Path, to: Path, name: str = "gbm", **changes: object) -> PatchJob:
    spec = Slides("TCGA-GBM", "f", patches={**PATCHES, **changes})
    return PatchJob(name, spec, open_dataset("TCGA-GBM", source), Destination(to))


@pytest.fixture
def prepared(ray: None, source: Path, tmp_path: Path) -> Path:
    seen: list[int] = []
    ((_, ended),) = extract_all([job(source, tmp_path / "patches")], seen.append)
    assert isinstance(ended, CohortManifest)
    assert sum(seen) == len(ended.slides) == 10
    return tmp_path / "patches"


def test_extract_all_writes_the_files_of_a_plain_loop(prepared: Path, source: Path, tmp_path: Path) -> None:
    alone = job(source, tmp_path / "alone")
    alone.start()
    for number, record in enumerate(alone.records):
        alone.done[number] = patch_files.write(alone.folder, alone.dataset.root, record, alone.spec)
    alone.write_manifest()
    names = {path.name for path in prepared.iterdir()}
    assert names == {path.name for path in alone.folder.iterdir()}
    for name in names:
        assert (prepared / name).read_bytes() == (alone.folder / name).read_bytes()


def test_extract_all_resumes_at_missing_slides(prepared: Path, source: Path) -> None:
    """What a kill leaves: some complete files, one cut, one without its JSON, no manifest."""
    (prepared / "cohort.json").unlink()
    first, cut, unlisted, absent = (
        slide_path(prepared, r) for r in job(source, prepared).dataset.records[:4]
    )
    cut.write_bytes(cut.read_bytes()[:50])
    unlisted.with_suffix(".json").unlink()
    absent.unlink()
    before = first.stat().st_mtime_ns
    seen: list[int] = []
    ((_, ended),) = extract_all([job(source, prepared)], seen.append)
    assert isinstance(ended, CohortManifest)
    assert sum(seen) == 3
    assert first.stat().st_mtime_ns == before
    ((_, again),) = extract_all([job(source, prepared)], seen.append)
    assert sum(seen) == 3
    assert again == ended


def test_extract_all_lists_bad_slides_and_fails_bad_jobs(ray: None, source: Path, tmp_path: Path) -> None:
    spoilt, unusable = (shutil.copytree(source, tmp_path / name) for name in ("spoilt", "unusable"))
    slides = sorted(unusable.rglob("*.svs"))
    for path in slides:
        path.write_bytes(b"not a slide")
    bad = open_dataset("TCGA-GBM", spoilt).records[0].image_path
    (spoilt / bad).write_bytes(b"not a slide")
    jobs = [
        job(spoilt, tmp_path / "a", "spoilt"),
        job(unusable, tmp_path / "b", "unusable"),
        job(source, tmp_path / "c", "wrong", boxes=3),
    ]
    ended = dict(extract_all(jobs))
    listed = ended["spoilt"]
    assert isinstance(listed, CohortManifest)
    (problem,) = listed.problems
    assert f"{bad}: not a slide that can be read" in problem
    assert listed.table4()["WSIs"] == 9
    assert isinstance(ended["unusable"], InputError)
    assert "no slide has a valid patch" in str(ended["unusable"])
    assert len(ended["unusable"].problems) == 11
    assert "unknown key `boxes`; did you mean box?" in str(ended["wrong"])


def test_extract_all_refuses_a_dataset_without_survival(tmp_path: Path) -> None:
    folder = phantom.write("TNBC", tmp_path / "tnbc", train=4, test=0, size=32)
    wrong = PatchJob("a", Slides("TNBC", "f"), open_dataset("TNBC", folder), Destination(tmp_path / "to"))
    ((_, ended),) = extract_all([wrong])
    assert isinstance(ended, InputError)
    assert str(ended) == "TNBC: segmentation; accepted: slides with survival"


def test_slides_command_prints_table_4(
    ray: None,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("grid.cluster.ray_session.ray_session", nullcontext)
    arguments = ["tcga-gbm", str(source), "--to", str(tmp_path / "to"), "--box", "64", "--size", "32"]
    assert main(arguments) == 0
    manifest = CohortManifest.read(tmp_path / "to")
    ours = manifest.table4()
    printed = capsys.readouterr().out
    for line in table4(manifest):
        assert line in printed
    rows = {line[:20].strip(): line[20:].split() for line in table4(manifest)[1:]}
    assert rows["WSIs"] == [str(ours["WSIs"]), "1,523"]
    assert rows["extracted patches"] == [str(ours["extracted patches"]), "339,912"]
    assert rows["valid patches"] == [str(ours["valid patches"]), "112,565"]
    assert manifest.size == 32
    assert main(["tcga-gbm", str(tmp_path / "none"), "--to", str(tmp_path / "to")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_cohort_counts_of_the_paper() -> None:
    assert cohort_counts()["TCGA-LGG"] == {
        "patients": "387",
        "WSIs": "1,380",
        "extracted patches": "275,453",
        "valid patches": "103,512",
    }
