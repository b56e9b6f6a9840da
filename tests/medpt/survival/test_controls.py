"""Controls of cohorts: they catch a follow-up that the names know, and find nothing where nothing is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bags import tiny_encoder
from memory_inputs import MemoryInputs, job_in

from medpt.data.manifest import ShardInfo
from medpt.files import read_json
from medpt.specs import ImageFree, Slides
from medpt.survival import controls
from medpt.survival.cohort import Cohort
from medpt.survival.concordance import concordance_index
from medpt.survival.patch_files import CohortManifest, Patient, SlideInfo
from medpt.survival.split import split_patients
from medpt.survival.study import TEST
from medpt.units import image_free

PATIENTS, SPLITS = 60, (0, 1, 2)


def cohort(shades_tell: bool = False, names_tell: bool = False, seed: int = 0) -> Cohort:
    """Two patches of each patient but the last, whose slide has none."""
    rng = np.random.default_rng(seed)
    time = rng.permutation(np.linspace(30, 3_000, PATIENTS))
    event = rng.random(PATIENTS) < 0.7
    order = np.argsort(time) if names_tell else rng.permutation(PATIENTS)
    names = [f"TCGA-{place:04}" for place in np.argsort(order)]
    ages = rng.normal(50, 10, PATIENTS)
    patients = tuple(
        Patient(*row) for row in zip(names, time.tolist(), event.tolist(), ages.tolist(), strict=True)
    )
    slides = tuple(SlideInfo(f"{name}-DX1", name, ShardInfo("", 0, 0, "", "")) for name in names)
    patient = np.repeat(np.arange(PATIENTS - 1, dtype=np.int32), 2)
    shade = np.where(shades_tell, 220 - time / 16, 120)[patient] + rng.normal(0, 4, len(patient))
    pixels = np.clip(shade[:, None, None, None] + rng.normal(0, 10, (len(patient), 16, 16, 3)), 0, 255)
    none = np.zeros(len(patient), np.float32)
    return Cohort(
        manifest=CohortManifest(Slides("TCGA-LGG", "f"), 16, patients, slides),
        patient=patient,
        slide=patient,
        x=patient,
        y=patient,
        tissue=none,
        focus=none,
        images=pixels.astype(np.uint8),
    )


def test_names_in_the_order_of_death_are_caught() -> None:
    found = controls.image_free_scores(cohort(names_tell=True), SPLITS)
    assert found["order of files"]["test"] > 0.95
    assert found["number in the id"]["validation"] > 0.95
    assert found["age"]["test"] < 0.7
    assert "grade" not in found  # nobody's is known


def test_numbers_that_know_nothing_are_near_chance() -> None:
    scores = [controls.image_free_scores(cohort(seed=seed), SPLITS) for seed in range(3)]
    assert np.mean([found["order of files"]["test"] for found in scores]) == pytest.approx(0.5, abs=0.1)


def test_score_of_a_number_is_that_of_its_direction_on_the_other_patients() -> None:
    """A Cox regression on one number keeps its order or turns it round."""
    known = cohort(seed=3)
    age = known.clinical["age"]
    slow = []
    for seed in SPLITS:
        tested = split_patients(known.patients, known.time, known.event, seed) == TEST
        both = [(known.time[rows], known.event[rows], age[rows]) for rows in (~tested, tested)]
        sign = 1 if concordance_index(*both[0]) > 0.5 else -1
        slow.append(concordance_index(*both[1][:2], sign * both[1][2]))
    assert controls.image_free_scores(known, SPLITS)["age"]["test"] == pytest.approx(np.mean(slow))


def test_untrained_networks_see_a_planted_shade_and_nothing_else() -> None:
    planted = controls.untrained_score(tiny_encoder(), cohort(shades_tell=True), [0], 200, "cpu")
    nothing = controls.untrained_score(tiny_encoder(), cohort(), [0], 200, "cpu")
    assert planted > 0.8
    assert nothing < 0.7


def test_sample_takes_so_many_patches_of_each_patient() -> None:
    known = cohort()
    one = controls._sample(known, 1)
    assert sorted(known.patient[one]) == list(range(PATIENTS - 1))
    assert sorted(controls._sample(known, 5)) == list(range(len(known.patient)))


def test_unit_chooses_the_number_and_writes_all(tmp_path: Path) -> None:
    inputs = MemoryInputs(cohorts={"d": cohort(names_tell=True)})
    spec = ImageFree("TCGA-LGG", "d", splits=SPLITS)
    metrics = image_free.run(spec, inputs, job_in(tmp_path))
    written = read_json(tmp_path / "out" / image_free.CHOSEN)
    assert written["chosen"] in ("order of files", "number in the id")
    assert metrics == {"c_index": written["numbers"][written["chosen"]]["test"], "trivial_c_index": 0.5}
    assert ImageFree("TCGA-LGG", "d").digest == replace(spec, splits=None).digest
