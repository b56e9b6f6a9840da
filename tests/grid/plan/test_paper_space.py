"""Survival trials, analyses and spaces made of spaces: what is planned, and what is refused."""

from collections import Counter
from pathlib import Path

import pytest
import tiny

from grid.claims.published import cells, key_of_trial, matching_cells
from grid.plan.cost import trains
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan
from grid.plan.planner import build_plan
from grid.space import reader
from medpt.errors import InputError
from medpt.specs import Coordinates, Features, Filters, Pretrain, Survive, Svcca
from medpt.survival.registry import SURVIVAL_MODELS


def planned(name: str) -> Plan:
    found = reader.load(name)
    prints = {dataset: dataset for dataset in space_datasets(found)}
    published = {backbone: f"{backbone} of ImageNet" for backbone in ("resnet18", "densenet121")}
    return build_plan(found, prints, published)


def of(whole: Plan, kind: type) -> list[object]:
    return [unit.spec for unit in whole.units.values() if isinstance(unit.spec, kind)]


def trained(plan: Plan) -> set[str]:
    return {digest for digest, unit in plan.units.items() if unit.kind == "pretrain" and trains(unit)}


def test_paper_is_its_tables_and_figures() -> None:
    """Specification, section 2: 846 distinct fine-tunings (852 count two cells of Figure 4 twice), 156
    survival fits and a Cox baseline, on 77 pre-trainings; beside them the detector of optic discs.
    """
    whole = planned("paper")
    counts = whole.counts()
    cox = [spec for spec in of(whole, Survive) if spec.model == "cox"]  # type: ignore[attr-defined]
    assert counts["finetune"] == 846
    assert counts["survive"] - len(cox) == 156
    assert len(trained(whole)) == 77 + 1
    assert (counts["coordinates"], counts["svcca"], counts["filters"]) == (21, 12, 12)
    assert matching_cells(whole) == [
        "table2 72 of 72",
        "table3 84 of 84",
        "table5 32 of 32",
        "table6 20 of 20",
    ]


def test_space_of_spaces_shares_their_work() -> None:
    alone = {name: set(planned(name).units) for name in ("fig3", "table5", "fig6")}
    whole = set(planned("paper").units)
    assert all(units <= whole for units in alone.values())


def test_figure_6_looks_at_the_pretrainings_of_the_other_figures() -> None:
    """The U-Net of CHAOS-CT in Figure 4 is the one whose filters Figure 6b shows."""
    four, six = planned("fig4"), planned("fig6")
    looked_at = {spec.weights for spec in of(six, Filters)}  # type: ignore[attr-defined]
    others = [four.units[digest].label for digest in trained(four) - looked_at]
    assert others == ["REFUGE-OD (whole frames) · unet/resnet18"]  # the detector of optic discs


def test_features_are_shared_by_models_and_by_seeds_unless_they_are_random() -> None:
    seeds = Counter(spec.initialization for spec in of(planned("table5"), Features))  # type: ignore[attr-defined]
    networks_and_cohorts = 2 * 2
    assert seeds == {
        "random": 3 * networks_and_cohorts,
        "M6-CLS": networks_and_cohorts,
        "M6-SEG": networks_and_cohorts,
        "imagenet*": networks_and_cohorts,
    }


def test_survival_needs_what_its_model_reads() -> None:
    whole = planned("table6")
    for unit in whole.units.values():
        if isinstance(unit.spec, Survive):
            needs = SURVIVAL_MODELS[unit.spec.model].inputs
            assert (unit.spec.features is not None) == (needs.features or needs.handcrafted)
            assert unit.spec.data in unit.needs
            trained = unit.spec.initialization.startswith("M6")
            assert (unit.spec.weights in unit.needs) == trained


def test_svcca_needs_probes_and_pretraining() -> None:
    whole = planned("fig6")
    for unit in whole.units.values():
        if isinstance(unit.spec, Svcca):
            assert set(unit.spec.probes) <= set(unit.needs)
            assert (unit.spec.weights in unit.needs) == (unit.spec.initialization != "imagenet*")


def test_size_of_a_dataset_is_part_of_what_figure_2_looks_at() -> None:
    data = {spec.dataset: spec.data for spec in of(planned("fig2"), Coordinates)}  # type: ignore[attr-defined]
    pretrained = {name for spec in of(planned("fig3"), Pretrain) for name in spec.data}  # type: ignore[attr-defined]
    assert {data["CheXpert"], data["EyePACS"]} <= pretrained


@pytest.mark.parametrize(("table", "count"), [("table5", 32), ("table6", 20)])
def test_survival_trials_are_the_cells_of_the_paper(table: str, count: int) -> None:
    printed = {cell for cell, (name, _, _) in cells().items() if name == table}
    ours = {key_of_trial(trial) for trial in reader.load(table).trials if trial.architecture != "cox"}
    assert len(printed) == count
    assert ours == printed


BLOCK = "experiments:\n  - {{initialization: [{0}], architecture: [{1}], target: [{2}]}}\n"
ANALYSIS = "analysis: {{ {0} }}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            BLOCK.format("random", "unet", "TCGA-LGG"),
            "unet: TCGA-LGG has survival times; `architecture` takes",
        ),
        (BLOCK.format("random", "km", "DRIVE"), "km: DRIVE has no survival times"),
        (BLOCK.format("random", "rsf", "TCGA-LGG"), "rsf has no network to initialize; `none` is accepted"),
        (BLOCK.format("none", "km", "TCGA-LGG"), "`none` is accepted with rsf, boostci, cox alone"),
        (
            BLOCK.format("TCGA-GBM", "km", "TCGA-LGG"),
            "TCGA-GBM has survival times, no labels to pre-train on",
        ),
        (
            ANALYSIS.format("svcca: {initialization: [random], datasets: [DRIVE]}"),
            "`random`: nothing was trained",
        ),
        (
            ANALYSIS.format("svcca: {initialization: [M6-CLS]}"),
            "no `datasets`; needed: initialization, datasets",
        ),
        (ANALYSIS.format("cmd: {datasets: [M6-CLS]}"), "`M6-CLS` is no dataset"),
        (ANALYSIS.format("gabor: {}"), "unknown key `gabor`"),
        ("include: [paper]\n", "`paper` includes others itself"),
        ("include: [no-such]\n", "no space is called `no-such`"),
        ("include: [table2-mini, real-mini]\n", "the included spaces differ in `phantom`"),
    ],
)
def test_mistake_is_reported_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tiny.written(tmp_path, f"title: wrong\n{text}")
    with pytest.raises(InputError) as told:
        reader.load(str(path))
    assert problem in str(told.value)
    assert f"{path}:" in str(told.value)
