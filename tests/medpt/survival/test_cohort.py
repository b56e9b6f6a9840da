"""A cohort on disk: what is written once, what is written again, and the arrays that come of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medpt import phantom
from medpt.data import Dataset, open_dataset
from medpt.errors import InputError
from medpt.specs import Slides
from medpt.survival import concordance_index, patch_files
from medpt.survival.cohort import IMAGES, open_cohort
from medpt.survival.patch_files import (
    MANIFEST,
    CohortManifest,
    SlideInfo,
    finished,
    slide_path,
    write,
    write_manifest,
)
from medpt.survival.patches import options_of
from medpt.survival.slides import extract

SPEC = Slides("TCGA-LGG", "f", {}, {"candidates": 30, "box": 64, "size": 32}, seed=0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("cohort") / "lgg"
    return open_dataset("TCGA-LGG", phantom.write("TCGA-LGG", folder, train=7, test=1))


def prepare(dataset: Dataset, folder: Path, spec: Slides = SPEC) -> CohortManifest:
    folder.mkdir(parents=True, exist_ok=True)
    infos = [write(folder, dataset.root, record, spec) for record in patch_files.plan(dataset)]
    return write_manifest(folder, dataset, spec, infos)


@pytest.fixture(scope="module")
def prepared(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "patches"
    prepare(dataset, folder)
    return folder


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    import shutil

    return shutil.copytree(prepared, tmp_path / "copy")


def test_arrays_are_the_patches_of_every_slide(
    dataset: Dataset, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medpt.survival.cohort.READ_ROWS", 5)
    cohort = open_cohort(prepared, tmp_path / "cache")
    start = 0
    for number, record in enumerate(patch_files.plan(dataset)):
        found = extract(dataset.root / record.image_path, options_of("TCGA-LGG", SPEC.patches), SPEC.seed)
        part = slice(start, start := start + len(found))
        for name in ("x", "y", "tissue", "focus"):
            assert np.array_equal(getattr(cohort, name)[part], getattr(found, name))
        assert np.array_equal(cohort.images[part], found.pixels)
        assert {cohort.patients[row] for row in cohort.patient[part]} == {record.patient_id}
        assert set(cohort.slide[part]) == {number}
    assert len(cohort.images) == start == cohort.manifest.rows > 100
    assert isinstance(cohort.images, np.memmap)
    assert not cohort.images.flags.writeable


def test_patients_have_their_follow_up(dataset: Dataset, prepared: Path, tmp_path: Path) -> None:
    cohort = open_cohort(prepared, tmp_path / "cache")
    known = {record.patient_id: record.meta for record in dataset}
    assert cohort.patients == tuple(sorted(known))
    for row, name in enumerate(cohort.patients):
        meta = known[name]
        assert (cohort.time[row], cohort.event[row]) == (meta["time"], meta["event"])
        assert (cohort.clinical["age"][row], cohort.clinical["grade"][row]) == (meta["age"], meta["grade"])
    assert set(cohort.event) == {True, False}


def test_counts_are_those_of_table_4(dataset: Dataset, prepared: Path) -> None:
    manifest = CohortManifest.read(prepared)
    table = manifest.table4()
    assert table["patients"] == 7
    assert table["WSIs"] == len(dataset)
    assert (
        table["extracted patches"] == sum(slide.extracted for slide in manifest.slides) <= 30 * len(dataset)
    )
    assert table["valid patches"] == table["extracted patches"] - sum(manifest.refused().values())
    assert 0.2 < table["valid patches"] / table["extracted patches"] < 0.6
    assert set(manifest.refused()) >= {"background", "pen"}
    assert manifest.problems == ()


def test_manifest_comes_back_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    manifest = prepare(dataset, tmp_path)
    assert CohortManifest.read(tmp_path) == manifest
    (tmp_path / MANIFEST).write_text('{"format": 1}')
    with pytest.raises(InputError, match="not a manifest of a cohort"):
        CohortManifest.read(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format": 7}')
    with pytest.raises(InputError, match="format 7; accepted: 1"):
        CohortManifest.read(tmp_path)
    with pytest.raises(InputError, match="holds no prepared cohort"):
        CohortManifest.read(tmp_path / "none")


def test_equal_slides_give_equal_bytes(dataset: Dataset, prepared: Path, tmp_path: Path) -> None:
    prepare(dataset, tmp_path)
    names = sorted(path.name for path in prepared.iterdir() if path.is_file())
    assert len(names) == 2 * len(dataset) + 1
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert all((prepared / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_slide_is_finished_while_all_that_it_is_made_from_is_the_same(
    dataset: Dataset, copy: Path, tmp_path: Path
) -> None:
    def known(spec: Slides = SPEC, root: Path = dataset.root) -> list[SlideInfo | None]:
        return [finished(copy, root, record, spec) for record in patch_files.plan(dataset)]

    manifest = CohortManifest.read(copy)
    assert known() == list(manifest.slides)
    for other in (replace(SPEC, seed=1), replace(SPEC, patches={**SPEC.patches, "size": 16})):
        assert set(known(other)) == {None}
    first, second, third = patch_files.plan(dataset)[:3]
    cut = slide_path(copy, first)
    cut.write_bytes(cut.read_bytes()[:-1])
    changed = slide_path(copy, second)
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    slide_path(copy, third).with_suffix(".json").unlink()
    assert known()[:4] == [None, None, None, manifest.slides[3]]
    place = tmp_path / "slides" / manifest.slides[3].slide
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a longer download")
    assert known(root=tmp_path / "slides")[3] is None


def test_slides_that_cannot_be_used_are_listed_and_do_not_stop_others(
    dataset: Dataset, tmp_path: Path
) -> None:
    import shutil

    from medpt.phantom.tcga_slides import write_svs

    root = shutil.copytree(dataset.root, tmp_path / "lgg")
    broken, empty = patch_files.plan(dataset)[1:3]
    (root / broken.image_path).write_bytes(b"not a slide")
    write_svs(root / empty.image_path, np.full((256, 256, 3), 244, np.uint8), "AppMag = 20")
    spoilt = open_dataset("TCGA-LGG", root)
    manifest = prepare(spoilt, tmp_path / "patches")
    assert len(manifest.problems) == 2
    assert f"{broken.image_path}: not a slide that can be read" in manifest.problems[0]
    assert f"{empty.image_path}: no valid patch (16 background)" in manifest.problems[1]
    assert manifest.table4()["WSIs"] == len(dataset) - 1
    assert [slide.file.rows > 0 for slide in manifest.slides[:4]] == [True, False, False, True]
    cohort = open_cohort(tmp_path / "patches", tmp_path / "cache")
    assert not set(cohort.slide) & {1, 2}
    assert len(cohort.images) == manifest.rows
    assert finished(tmp_path / "patches", root, broken, SPEC) is None
    for record in spoilt:
        (root / record.image_path).write_bytes(b"not a slide")
    with pytest.raises(InputError) as caught:
        prepare(spoilt, tmp_path / "none")
    assert caught.value.problems[0] == "TCGA-LGG: no slide has a valid patch"
    assert len(caught.value.problems) == 1 + len(dataset)
    assert not (tmp_path / "none" / MANIFEST).exists()


def test_copy_is_built_once_and_again_when_it_is_broken_or_another(
    dataset: Dataset, copy: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = np.array(open_cohort(copy, cache).images)
    before = (cache / IMAGES).stat().st_ino
    open_cohort(copy, cache)
    assert (cache / IMAGES).stat().st_ino == before
    (cache / IMAGES).write_bytes((cache / IMAGES).read_bytes()[:-5])
    again = open_cohort(copy, cache)
    assert np.array_equal(again.images, first)
    prepare(dataset, copy, replace(SPEC, seed=1))
    other = open_cohort(copy, cache)
    assert not np.array_equal(other.x, again.x)
    file = copy / other.manifest.slides[0].file.name
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"parquet: has \d+ bytes instead of \d+; prepare the slides again"):
        open_cohort(copy, tmp_path / "another")
    assert not (tmp_path / "another").exists()


def test_focus_of_test_patients_decides_nothing(prepared: Path, tmp_path: Path) -> None:
    cohort = open_cohort(prepared, tmp_path / "cache")
    training = np.arange(len(cohort.patients)) < 5
    kept = cohort.valid(training)
    own = training[cohort.patient]
    threshold = np.percentile(cohort.focus[own], 2)
    assert np.array_equal(kept, np.flatnonzero(cohort.focus >= threshold))
    assert 0 < own.sum() - own[kept].sum() <= 0.02 * own.sum() + 1
    blurred = replace(cohort, focus=np.where(own, cohort.focus, np.float32(0)))
    assert np.array_equal(blurred.valid(training), kept[own[kept]])


@pytest.mark.parametrize("name", ["TCGA-LGG", "TCGA-GBM"])
def test_texture_of_phantom_slides_carries_the_risk(name: str, tmp_path: Path) -> None:
    """The share of dark pixels in a patient's patches, which nuclei are, ranks the patients."""
    dataset = open_dataset(name, phantom.write(name, tmp_path / "slides", train=40, test=0, size=48))
    spec = Slides(name, "f", {}, {"candidates": 30, "box": 32, "size": 32})
    prepare(dataset, tmp_path / "patches", spec)
    cohort = open_cohort(tmp_path / "patches", tmp_path / "cache")
    dark = (cohort.images.mean(axis=3) < 130).mean(axis=(1, 2))
    risk = np.array([dark[cohort.patient == row].mean() for row in range(len(cohort.patients))])
    assert concordance_index(cohort.time, cohort.event, risk) > 0.75
    rng = np.random.default_rng(0)
    chance = [concordance_index(cohort.time, cohort.event, rng.permutation(risk)) for _ in range(20)]
    assert abs(np.mean(chance) - 0.5) < 0.05
    assert 0.3 <= 1 - cohort.event.mean() <= 0.6
