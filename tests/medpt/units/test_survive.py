"""From damaged and missing slides to C-indices: what becomes of each patient."""

from dataclasses import replace

import numpy as np
import pytest
from memory_inputs import MemoryInputs

from medpt import phantom
from medpt.data import Dataset, open_dataset
from medpt.phantom.tcga_slides import GLASS, write_svs
from medpt.specs import HANDCRAFTED, NO_NETWORK, Features, Slides, Survive
from medpt.survival import patch_files
from medpt.survival.cohort import Cohort, open_cohort
from medpt.survival.concordance import concordance_index
from medpt.survival.study import TEST, TRAIN
from medpt.units import features, survive
from medpt.units.base import ITEMS, Job

PATIENTS = 30
UNREADABLE, HALF_EMPTY = "TCGA-DU-0005", "TCGA-HT-0006"  # of one slide, and of two
UNKNOWN = f"TCGA-CS-{PATIENTS + 1:04}"  # its slides are there, its follow-up is not
SPEC = Slides("TCGA-LGG", "f", {}, {"candidates": 12, "box": 32, "size": 32})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("damaged") / "lgg"
    phantom.write("TCGA-LGG", folder, train=PATIENTS, test=1, size=48)
    (only,) = folder.rglob(f"{UNREADABLE}*.svs")
    only.write_bytes(b"not a slide")
    (second,) = folder.rglob(f"{HALF_EMPTY}-01Z-00-DX2*.svs")
    write_svs(second, np.full((192, 192, 3), GLASS, np.uint8), "AppMag = 20")
    return open_dataset("TCGA-LGG", folder)


@pytest.fixture(scope="module")
def cohort(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("damaged")
    infos = [patch_files.write(folder, dataset.root, record, SPEC) for record in patch_files.plan(dataset)]
    patch_files.write_manifest(folder, dataset, SPEC, infos)
    return open_cohort(folder, folder / "cache")


@pytest.fixture(scope="module", params=[0, 1])
def risks(
    request: pytest.FixtureRequest, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What a forest writes, and its metrics."""
    folder = tmp_path_factory.mktemp("forest")
    names, job = ("TCGA-LGG", "d", HANDCRAFTED, request.param), Job(folder, folder)
    inputs = MemoryInputs(cohorts={"d": cohort})
    features.run(Features(NO_NETWORK, None, *names), inputs, job)
    inputs = replace(inputs, matrices={"f": np.load(folder / features.FEATURES)})
    spec = Survive("rsf", NO_NETWORK, None, "TCGA-LGG", "d", "f", *names[2:], {"trees": 10, "node_size": 3})
    metrics = survive.run(spec, inputs, job)
    with np.load(folder / survive.RISKS) as written:
        return dict(written), metrics


def test_slides_that_cannot_be_used_are_listed_with_their_reason(dataset: Dataset, cohort: Cohort) -> None:
    problems = {problem.split("/")[-1][:12]: problem for problem in cohort.manifest.problems}
    assert "not a slide that can be read" in problems[UNREADABLE]
    assert "no valid patch (" in problems[HALF_EMPTY]
    assert UNKNOWN not in cohort.patients
    assert any("slides excluded: no survival of their patient" in note for note in dataset.notes)
    assert {*cohort.patients} == {record.patient_id for record in dataset}
    assert len(cohort.patients) == PATIENTS


def test_patient_whose_only_slide_does_not_open_counts_with_the_median_risk(
    risks: tuple[dict[str, np.ndarray], dict[str, float]], cohort: Cohort
) -> None:
    written, metrics = risks
    row = list(written["patients"]).index(UNREADABLE)
    seen = np.isin(np.arange(PATIENTS), cohort.patient)
    assert not seen[row]
    training = (written["part"] == TRAIN) & seen
    assert written["risk"][row] == np.median(written["risk"][training])
    tested = written["part"] == TEST
    assert tested.sum() == PATIENTS / 5
    assert metrics["censoring"] == 1 - written["event"][tested].mean()  # of all, seen or not


def test_items_are_the_test_patients_without_their_names(
    cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("items")
    spec = Survive("cox", NO_NETWORK, None, "TCGA-LGG", "d", None, HANDCRAFTED, 0)
    found = survive.run(spec, MemoryInputs(cohorts={"d": cohort}), Job(folder, folder))
    with np.load(folder / ITEMS) as saved:
        assert set(saved) == {"time", "event", "risk", "weight", "error", "trained"}
        assert found["integrated_brier"] == saved["error"].mean()
        assert found["c_index"] == concordance_index(saved["time"], saved["event"], saved["risk"])
        assert int(saved["trained"]) + len(saved["risk"]) == PATIENTS


def test_patient_with_one_slide_is_as_any_other(
    risks: tuple[dict[str, np.ndarray], dict[str, float]], cohort: Cohort
) -> None:
    written, _ = risks
    slides = {
        name: {s.slide for s in cohort.manifest.slides if s.patient == name} for name in cohort.patients
    }
    ones = [row for row, name in enumerate(cohort.patients) if len(slides[name]) == 1 and name != UNREADABLE]
    ones.append(cohort.patients.index(HALF_EMPTY))
    assert len(ones) > 5
    assert set(ones) <= set(cohort.patient)
    assert len(set(written["risk"][ones])) > len(ones) / 2  # risks of their own, not one for all
