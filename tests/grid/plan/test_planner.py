"""Plans: equal work has one digest, needs come first, and what determines a result enters its name."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.claims.published import matching_cells
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan, Unit
from grid.plan.planner import build_plan
from grid.space import reader
from grid.space.sources import source_architecture, source_datasets
from grid.space.trials import Settings, Trial
from medpt.data import catalog
from medpt.identity import canonical_json, stream_seed
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Pretrain


def planned(text_or_name: str = "demo", prints: dict[str, str] | None = None) -> Plan:
    found = reader.load(text_or_name)
    given_prints = prints or {name: f"print of {name}" for name in space_datasets(found)}
    return build_plan(found, given_prints, {})


def test_demo_shares_its_pretrainings() -> None:
    made = planned()
    assert len(made.trials) == 17
    frozen, controls = {"image_features": 5, "frozen": 9}, {"image_free": 2, "probe": 2}
    assert made.counts() == {"prepare": 4, "pretrain": 3, "finetune": 8} | frozen | controls


def test_needs_come_first() -> None:
    seen: set[str] = set()
    for name, unit in planned().units.items():
        assert seen.issuperset(unit.needs)
        seen.add(name)


def test_planner_makes_a_fine_tuning_need_its_data_and_its_weights() -> None:
    units = planned().units
    tuned = [unit for unit in units.values() if isinstance(unit.spec, Finetune) and unit.spec.weights]
    assert tuned
    for unit in tuned:
        assert unit.needs == (unit.spec.data, unit.spec.weights)  # type: ignore[union-attr]
        assert [units[need].kind for need in unit.needs] == ["prepare", "pretrain"]


def test_fingerprint_changes_what_depends_on_it() -> None:
    prints = {name: name for name in space_datasets(reader.load("demo"))}
    before = set(planned(prints=prints).units)
    after = set(planned(prints=prints | {"ISIC2019": "other"}).units)
    changed = {planned(prints=prints).units[name].label for name in before - after}
    assert changed
    assert all("ISIC2019" in label for label in changed)


def test_units_round_trip_through_json() -> None:
    for name, unit in planned().units.items():
        again = Unit.from_json(json.loads(json.dumps(unit.to_json())))
        assert again.digest == name == unit.digest


def test_segmentation_source_is_trained_with_the_target_s_network() -> None:
    assert source_architecture("CHAOS-CT", "deeplabv3plus", Settings()) == "deeplabv3plus"
    assert source_architecture("ISIC2019", "unet", Settings()) == "classifier"
    assert source_architecture("CHAOS-CT", "classifier", Settings()) == "unet"


def test_what_an_initialization_is_trained_on() -> None:
    drive = next(trial for trial in reader.load("demo").trials if trial.target == "DRIVE")
    chest = next(trial for trial in reader.load("demo").trials if trial.target != "DRIVE")
    told = {
        (name, trial.target): (
            source_datasets(trial.initialization, trial.target, trial.settings),
            source_architecture(trial.initialization, trial.architecture, trial.settings),
        )
        for name in ("SS-Jigsaw", "SS-Context", "M3-CLS", "M3-SEG")
        for trial in (replace(drive, initialization=name), replace(chest, initialization=name))
    }
    m3_cls, m3_seg = ("CheXpert", "EyePACS", "ISIC2019"), ("CHAOS-CT", "CHAOS-MRI", "TNBC")
    assert told == {
        ("SS-Jigsaw", "DRIVE"): (("DRIVE",), "classifier"),
        ("SS-Jigsaw", "ChestXRay2017"): (("ChestXRay2017",), "classifier"),
        ("SS-Context", "DRIVE"): (("DRIVE",), "unet"),
        ("SS-Context", "ChestXRay2017"): (("ChestXRay2017",), "classifier"),
        ("M3-CLS", "DRIVE"): (m3_cls, "classifier"),
        ("M3-CLS", "ChestXRay2017"): (m3_cls, "classifier"),
        ("M3-SEG", "DRIVE"): (m3_seg, "unet"),
        ("M3-SEG", "ChestXRay2017"): (m3_seg, "unet"),
    }


def test_self_supervision_shares_one_run_between_segmentation_networks(tmp_path: Path) -> None:
    path = tmp_path / "ssl.yaml"
    path.write_text(
        "controls: false\nexperiments:\n  - initialization: [SS-Jigsaw, SS-Context]\n    target: [DRIVE]\n"
        "    architecture: [unet, deeplabv3plus, hynet]\n    seed: [0]\n"
    )
    assert planned(str(path)).counts() == {"prepare": 1, "pretrain": 2, "finetune": 6}


def test_published_cells_of_a_part_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "part.yaml"
    path.write_text(
        "controls: false\nexperiments:\n  - initialization: [random, ADE20K]\n"
        "    backbone: [shufflenet_v2, resnet18]\n"
        "    target: [DRIVE, ChestXRay2017]\n    seed: [0]\n"
    )
    assert matching_cells(planned(str(path))) == ["table2 4 of 72"]


numbers = st.integers(-(2**50), 2**50) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
def test_canonical_json_survives_a_round_trip(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2, max_size=6), st.randoms())
def test_canonical_json_ignores_the_order_of_keys(value: dict[str, int], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert canonical_json(dict(items)) == canonical_json(value)


def test_numbers_have_one_spelling() -> None:
    one = Finetune(
        "random", None, "DRIVE", "d", "resnet18", "unet", protocol=TrainingProtocol(learning_rate=1e-4)
    )
    same = replace(one, protocol=TrainingProtocol(learning_rate=0.0001), target_size=1)
    assert one.digest == same.digest
    assert one.digest != replace(one, seed=1).digest


def test_named_streams_are_independent() -> None:
    seeds = {stream_seed(0, name) for name in ("init", "order", "step")} | {stream_seed(1, "init")}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.fixture
def thousand(tmp_path: Path) -> Path:
    path = tmp_path / "thousand.yaml"
    seeds = list(range(21))
    path.write_text(
        "phantom: {seed: 0}\nexperiments:\n"
        "  - initialization: [random, imagenet*, ISIC2019, ADE20K, CIFAR-100,"
        " CHAOS-CT, ADE20K-Seg, ImageNet]\n"
        "    backbone: [resnet18, shufflenet_v2, densenet121]\n"
        f"    target: [DRIVE, ChestXRay2017]\n    seed: {seeds}\n"
    )
    return path


def test_dry_run_of_a_thousand_trials(thousand: Path, tmp_path: Path) -> None:
    """It loads neither Ray, PyTorch, MLflow nor pandas, and writes nothing."""
    script = (
        "import sys; from grid.run import main; code = main(sys.argv[1:]);"
        "assert not {'ray', 'torch', 'mlflow', 'pandas'} & set(sys.modules); sys.exit(code)"
    )
    arguments = ["--space", str(thousand), "--dry-run", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "1,008 trials" in done.stdout
    assert not (tmp_path / "out").exists()


def test_self_supervision_trains_as_long_as_its_set_is_large(tmp_path: Path) -> None:
    path = tmp_path / "ssl.yaml"
    text = "experiments:\n  - {initialization: [SS-Jigsaw], target: [DRIVE, CIFAR-100], seed: [0]}\n"
    path.write_text(text)
    steps = {
        unit.spec.datasets[0]: unit.spec.protocol.max_steps
        for unit in planned(str(path)).units.values()
        if isinstance(unit.spec, Pretrain)
    }
    assert steps == {"DRIVE": 5_000, "CIFAR-100": 20_000}
    path.write_text("pretrain: {max_steps: 7, min_steps: 0}\n" + text)
    assert {
        unit.spec.protocol.max_steps
        for unit in planned(str(path)).units.values()
        if isinstance(unit.spec, Pretrain)
    } == {7}


def test_partial_copies_change_no_unit() -> None:
    plan = planned()
    partial = replace(plan, partial={"ISIC2019": 10})
    assert partial.units == plan.units
    assert Plan.from_json(json.loads(canonical_json(partial.to_json()))).partial == {"ISIC2019": 10}
    assert "partial" not in plan.to_json()


def test_target_never_changes_a_source(tmp_path: Path) -> None:
    """All images of a source are prepared, also where it is a target with another split."""
    block = (
        "experiments:\n  - {initialization: [ISIC2019, CIFAR-100], target: [ISIC2019, DRIVE], seed: [0]}\n"
    )
    pretrained = []
    for text in (block, "datasets: {ISIC2019: {split: official}}\n" + block):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        units = planned(str(path)).units
        specs = [unit.spec for unit in units.values() if isinstance(unit.spec, Pretrain)]
        sources = {name: units[name].spec for spec in specs for name in spec.data}
        assert {spec.split for spec in sources.values()} == {"all"}  # type: ignore[attr-defined]
        pretrained.append({spec.unguarded.digest for spec in specs})
    assert pretrained[0] == pretrained[1]


REPEATED = """
experiments:
  - initialization: [random, "imagenet*", ISIC2019]
    backbone: [resnet18]
    target: [DRIVE, CIFAR-100]
    seed: [0, 1]
    pretrain_seed: {seeds}
"""


def test_each_pretrain_seed_is_one_pretraining_that_trials_share(tmp_path: Path) -> None:
    once, twice = (tmp_path / "once.yaml", tmp_path / "twice.yaml")
    once.write_text(REPEATED.format(seeds="[0]"))
    twice.write_text(REPEATED.format(seeds="[0, 1]"))
    before, after = planned(str(once)), planned(str(twice))
    assert set(before.units) < set(after.units)  # seed 0 keeps its names
    assert after.counts() == before.counts() + Counter(pretrain=1, finetune=4)
    assert len(after.trials) == len(before.trials) + 4  # not of random and published weights
    found = {(trial.initialization, trial.pretrain_seed) for trial, _ in after.trials}
    assert found == {("random", None), ("imagenet*", None), ("ISIC2019", 0), ("ISIC2019", 1)}
    for trial, name in after.trials:
        spec = after.units[name].spec
        if trial.initialization == "ISIC2019":
            assert after.units[spec.weights].spec.seed == trial.pretrain_seed  # type: ignore[attr-defined]
    assert len({unit.label for unit in after.units.values()}) == len(after.units)


def test_trial_of_an_old_plan_has_pretrain_seed_0() -> None:
    trial = next(trial for trial, _ in planned().trials if trial.initialization == "ISIC2019")
    stored = trial.to_json()
    del stored["pretrain_seed"]
    assert Trial.from_json(stored) == trial


SPLIT = """
experiments:
  - initialization: [random, ISIC2019, SS-Jigsaw]
    backbone: [resnet18]
    target: [Clinic]
"""


def of_clinic(folder: Path, text: str) -> Plan:
    """Plan a space whose target is a user's dataset of three splits."""
    card = replace(catalog.card("ISIC2019"), name="Clinic", split={"folds": 3}, folders=("clinic",))
    path = folder / "space.yaml"
    path.write_text(text)
    space = reader.load(str(path), {"Clinic": card})
    return build_plan(space, dict.fromkeys(space_datasets(space), "print"), {})


def test_each_split_of_a_target_is_one_trial_with_a_split_seed(tmp_path: Path) -> None:
    plan = of_clinic(tmp_path, SPLIT)
    assert Counter((t.initialization, t.fold, t.seed) for t, _ in plan.trials) == Counter(
        (name, fold, 0) for name in ("random", "ISIC2019", "SS-Jigsaw") for fold in range(3)
    )
    for trial, name in plan.trials:
        data = plan.units[plan.units[name].spec.data].spec  # type: ignore[attr-defined]
        assert (data.split, data.split_seed) == ("random", trial.fold)  # type: ignore[attr-defined]
    specs = [unit.spec for unit in plan.units.values() if isinstance(unit.spec, Pretrain)]
    common = {spec.unguarded.digest for spec in specs if spec.method == "supervised"}
    assert len(common) == 1  # no target changes a source
    assert len({spec.digest for spec in specs if spec.method == "jigsaw"}) == 3  # each on its training set
    assert len({unit.label for unit in plan.units.values()}) == len(plan.units)


def test_seeds_that_are_named_are_crossed_with_the_splits(tmp_path: Path) -> None:
    assert len(of_clinic(tmp_path, SPLIT + "    seed: [0, 1]\n").trials) == 3 * 3 * 2


def test_split_of_a_space_is_one_split(tmp_path: Path) -> None:
    plan = of_clinic(tmp_path, "datasets: {Clinic: {split: random}}\n" + SPLIT)
    assert {(trial.fold, trial.seed) for trial, _ in plan.trials} == {(None, seed) for seed in range(3)}
    first = of_clinic(tmp_path, SPLIT)
    assert {t.label: d for t, d in plan.trials if not t.seed} == {
        t.label: d for t, d in first.trials if not t.fold
    }  # the first split is the one that there was before
