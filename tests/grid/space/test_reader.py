"""Space files: what they expand to, and what each mistake in one is told."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid import space
from grid.plan.initialization import analysis_requests
from grid.space import reader
from grid.space.__main__ import main
from grid.space.trials import Analysis
from medpt.data import catalog
from medpt.data.card import DatasetCard
from medpt.errors import InputError
from medpt.yaml_document import Document

GOOD = """
title: a test
size: 64
phantom: {seed: 0}
experiments:
  - initialization: [random, ISIC2019]
    backbone: [resnet18, shufflenet_v2]
    target: [DRIVE, ChestXRay2017]
    seed: [0, 1]
"""


STUDY_CARDS = {  # of the study's own datasets, beside their files
    "EyeDiseases": DatasetCard("EyeDiseases", "fundus", "classification", ("normal", "cataract", "glaucoma")),
    "NIH-COVID": DatasetCard("NIH-COVID", "x-ray", "classification", ("no_finding", "covid19")),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "trial.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        space.load(str(written(folder, text)))
    return [problem.replace(str(folder), "") for problem in caught.value.problems]


def test_full_factorial(tmp_path: Path) -> None:
    found = space.load(str(written(tmp_path, GOOD)))
    assert len(found.trials) == 2 * 2 * 2 * 2
    assert {trial.architecture for trial in found.trials if trial.target == "DRIVE"} == {"unet"}
    assert {trial.architecture for trial in found.trials if trial.target != "DRIVE"} == {"classifier"}


def test_survival_has_ten_seeds_by_default_and_three_in_the_papers_spaces(tmp_path: Path) -> None:
    text = "experiments: [{initialization: [none], architecture: [cox], target: [TCGA-LGG]}]"
    seeds = [
        [trial.seed for trial in space.load(str(written(tmp_path, head + text))).trials]
        for head in ("", "metrics: paper\n")
    ]
    assert seeds == [list(range(10)), [0, 1, 2]]
    images = GOOD.replace("    seed: [0, 1]\n", "")
    assert {trial.seed for trial in space.load(str(written(tmp_path, images))).trials} == {0, 1, 2}


def test_analysis_takes_several_pre_trainings_of_what_is_trained_here(tmp_path: Path) -> None:
    block = 'analysis: {filters: {initialization: ["imagenet*", ISIC2019], pretrain_seed: [0, 2]}}\n'
    found = space.load(str(written(tmp_path, GOOD + block)))
    (analysis,) = found.analyses
    asked = [(each.label, each.seed) for each in analysis_requests(analysis)]
    assert asked == [("imagenet*", 0), ("ISIC2019", 0), ("ISIC2019", 2)]
    assert Analysis.from_json(json.loads(json.dumps(analysis.to_json()))) == analysis
    assert "pretrain_seeds" not in replace(analysis, pretrain_seeds=(0,)).to_json()


def test_random_weights_have_no_sample_size(tmp_path: Path) -> None:
    text = GOOD.replace("target:", "sample_size: [50, 100]\n    target:")
    trials = space.load(str(written(tmp_path, text))).trials
    random = [trial for trial in trials if trial.initialization == "random"]
    assert len(random) == 8
    assert {trial.label for trial in trials} == {"random", "ISIC2019-50", "ISIC2019-100"}


def test_paper_s_name_of_a_sized_source(tmp_path: Path) -> None:
    trials = space.load(str(written(tmp_path, GOOD.replace("ISIC2019]", "ISIC2019-20k]")))).trials
    sized = {(trial.initialization, trial.sample_size, trial.label) for trial in trials}
    assert sized == {("random", None, "random"), ("ISIC2019", 20_000, "ISIC2019-20k")}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("size: 64", "sise: 64", "/trial.yaml:3: unknown key `sise`; did you mean size"),
        ("size: 64", "size: 64\nsize: 96", "/trial.yaml:4: the key `size` is given twice"),
        ("size: 64", "size: 65", "`size` is 65; a multiple of 32"),
        ("ISIC2019]", "ISIC2091]", "/trial.yaml:6: unknown initialization `ISIC2091`; did you mean ISIC2019"),
        ("DRIVE,", "DRIVES,", "/trial.yaml:8:"),
        ("[0, 1]", "[]", "/trial.yaml:9: `seed` is []; a whole number from 0"),
        ("[0, 1]", "[0, 0]", "`seed` names 0 twice"),
        ("[0, 1]", "[0, -1]", "/trial.yaml:9: `seed` is -1; a whole number from 0"),
        ("resnet18,", "resnet81,", "unknown backbone `resnet81`; did you mean resnet18"),
        (
            "    target: [DRIVE, ChestXRay2017]\n",
            "",
            "/trial.yaml:6: no `target`; needed: initialization, target",
        ),
        ("title: a test", "finetune: {max_steps: 0}", "`max_steps` is 0; a whole number from 1"),
        ("title: a test", "finetune: {weighting: odd}", "`weighting` is 'odd'; accepted: inverse_frequency"),
        ("title: a test", "finetune: {lr: 1}", "unknown key `lr`"),
        ("title: a test", "datasets: {DRIVE: {split: mine}}", "`split` is 'mine'; accepted: official"),
        ("title: a test", "title: [a", "not YAML"),
        ("title: a test", "\ttitle: a", "not YAML"),
        ("title: a test", "title: !!python/object:os.system x", "the tag `!!python/object:os.system`"),
        ("title: a test", "title: [1, 2]", "`title` is [1, 2]; text is accepted"),
        ("title: a test", "finetune: {weight_clip: [3, 2]}", "0 < low <= high is accepted"),
        ("title: a test", "finetune: {min_steps: 5, max_steps: 2}", "at most max_steps, 2, is accepted"),
        ("title: a test", "datasets: {DRIVE: {folder: 2017}}", 'for text write "2017"'),
        ("title: a test", "datasets: {DRIVE: {folder: ../x}}", "a folder below --data is accepted"),
        ("title: a test", 'datasets: {DRIVE: {card: ""}}', "`card` is ''; a dataset.yaml"),
        ("title: a test", "datasets: {Mine: {card: absent}}", "`card` is 'absent': no such file; the path"),
        ("title: a test", 'datasets: {DRIVE: {pipeline: ""}}', "`pipeline` is ''; text such as"),
        (
            "title: a test",
            "datasets: {DRIVE: {phantom: {train: 99999999999}}}",
            "images from 1 to 1000000 is accepted",
        ),
        (
            "title: a test",
            "datasets: {DRIVE: {pipeline: 5}}",
            "`pipeline` is 5, which YAML reads as a number",
        ),
        ("title: a test", "datasets: {DRIVE: {pipeline: clache(2)}}", "did you mean clahe?"),
        (
            "title: a test",
            "datasets: {DRIVE: {validation_fraction: on}}",
            "`validation_fraction` is on; a fraction",
        ),
        ("title: a test", "datasets: {DRIVE: {options: 3}}", "`options` is 3; a mapping"),
        ("title: a test", "datasets: {HRF: {options: {classes: x}}}", "`classes` is 'x'; accepted: 2, 3"),
        (
            "title: a test",
            "datasets: {HRF: {options: {clases: 2}}}",
            "unknown key `clases`; did you mean classes",
        ),
        ("title: a test", "datasets: {TCGA-LGG: {patches: {box: on}}}", "`box` is on; a whole number"),
        (
            "title: a test",
            "datasets: {DRIVE: {phantom: {train: abc}}}",
            "`train` is 'abc'; a number of images",
        ),
        ("{seed: 0}", "{seed: on}", "/trial.yaml:4: `seed` is on; a whole number from 0"),
        ("{seed: 0}", "3", "/trial.yaml:4: `phantom` is 3; a mapping"),
        ("ISIC2019]", "ISIC2019-0k]", "`ISIC2019-0k` has the size 0k; a size from 1k"),
        ("ISIC2019]", "ISIC2019-9999999k]", "`ISIC2019-9999999k` has the size 9999999k"),
        (
            "ISIC2019]",
            "NO]",
            '`initialization` is NO, which YAML reads as true or false; for text write "NO"',
        ),
        (
            "ISIC2019]",
            "007]",
            '`initialization` is 007, which YAML readers take for different numbers; write "007"',
        ),
        ("experiments:", "survival: {km: {k: on}}\nexperiments:", "/trial.yaml:5: `k` is on; a whole number"),
        ("experiments:", "survival: {km: {k: 0}}\nexperiments:", "`k` is 0; greater than or equal to 1"),
        (
            "experiments:",
            "survival: {rsf: {tree: 5}}\nexperiments:",
            "unknown key `tree`; did you mean trees",
        ),
        ("experiments:", "survival: {kmm: {}}\nexperiments:", "unknown key `kmm`; did you mean km"),
        ("experiments:", f"include: [{'a' * 5000}]\nexperiments:", "no space is called"),
        ("experiments:", "include: [dmeo]\nexperiments:", "/trial.yaml:5: in `dmeo`: no space is called"),
        ("experiments:", "analysis: {cmd: {datasets: [DRIVE], options: {n: on}}}\nexperiments:", "`n` is on"),
        (
            "experiments:",
            "analysis: {svcca: {initialization: [random]}}\nexperiments:",
            "no `datasets`; needed",
        ),
        ("experiments:", "experiments: 3\nwas:", "`experiments` is 3; a list of blocks of factors"),
    ],
)
def test_mistake_is_reported(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert any(told in problem for problem in problems(tmp_path, GOOD.replace(old, new, 1)))


def test_all_mistakes_in_one_pass(tmp_path: Path) -> None:
    text = GOOD.replace("size: 64", "size: 7").replace("DRIVE", "DRAVE").replace("resnet18", "vgg")
    assert len(problems(tmp_path, text)) == 3


def test_values_of_one_kind_may_stand_without_a_list(tmp_path: Path) -> None:
    text = (
        GOOD.replace("[0, 1]", "7")
        .replace("[random, ISIC2019]", "random")
        .replace("title: a test", "title: 2017")
    )
    found = space.load(str(written(tmp_path, text)))
    assert {trial.seed for trial in found.trials} == {7}
    assert found.title == "2017"


def test_sample_sizes_may_have_exponents(tmp_path: Path) -> None:
    text = GOOD.replace("target:", "sample_size: [all, 1e3]\n    target:")
    assert {trial.sample_size for trial in space.load(str(written(tmp_path, text))).trials} == {None, 1000}


def test_problems_of_an_included_space_are_listed(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(GOOD.replace("size: 64", "size: 65"))
    assert problems(tmp_path, f"include: [{wrong}]\n") == [
        "/trial.yaml:1: `/wrong.yaml` has problems:",
        "/wrong.yaml:3: `size` is 65; a multiple of 32 from 32 to 1024 is accepted",
    ]


def test_users_cards_are_known_to_a_space_alone(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace("DRIVE", "Clinic"))
    clinic = replace(catalog.card("DRIVE"), name="Clinic", modality="oct")
    found = space.load(str(path), {"Clinic": clinic})
    assert found.cards == {"Clinic": clinic}
    assert {trial.task for trial in found.trials if trial.target == "Clinic"} == {"segmentation"}
    with pytest.raises(InputError, match="unknown dataset 'Clinic'"):
        space.load(str(path))


def test_schema_for_editors_has_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = json.loads(capsys.readouterr().out)
    used = {key for path in reader.FOLDER.glob("*.yaml") for key in Document(path).data}
    assert used <= set(printed["properties"])
    assert printed["properties"]["size"]["multipleOf"] == 32


def test_multiplying_aliases_are_refused(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
    assert "more than" in problems(tmp_path, "a0: &a0 [1]\n" + levels)[0]


def test_million_trials_are_refused(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(80_000)))
    assert "trials; at most" in problems(tmp_path, GOOD.replace("[0, 1]", f"[{seeds}]"))[0]


def test_unknown_space_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean demo"):
        space.load("dmeo")


@pytest.mark.parametrize("path", sorted(reader.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_space_of_the_repository_loads(path: Path) -> None:
    found = space.load(path.stem, STUDY_CARDS)
    assert found.trials or found.analyses
    header = path.read_text().split("\n\n")[0]
    assert "grid.run --space" in header.replace("make demo", "grid.run --space")
    assert "Expect:" in path.read_text()
    assert "Cost:" in path.read_text()


@given(st.permutations(["initialization", "backbone", "target", "seed"]))
def test_order_of_keys_does_not_matter(order: list[str]) -> None:
    block = {
        "initialization": "[random, ISIC2019]",
        "backbone": "[resnet18]",
        "target": "[DRIVE]",
        "seed": "[0, 1]",
    }
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = "\n    ".join(f"{key}: {block[key]}" for key in order)
        path = written(Path(folder), f"experiments:\n  - {lines}\n")
        shuffled = set(space.load(str(path)).trials)
        lines = "\n    ".join(f"{key}: {value}" for key, value in block.items())
        assert shuffled == set(space.load(str(written(Path(folder), f"experiments:\n  - {lines}\n"))).trials)
        assert len(shuffled) == 4


def test_help_and_spaces_import_nothing_heavy() -> None:
    script = (
        "import sys; from grid import space_run, plan, space; space.load('demo');"
        "print([m for m in ('ray', 'torch', 'mlflow', 'pandas', 'pyarrow', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
