"""Space files: what they expand to, and what each mistake in one is told."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid import space
from grid.space import reader
from medpt.errors import InputError

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


def test_random_weights_have_no_sample_size(tmp_path: Path) -> None:
    text = GOOD.replace("target:", "sample_size: [50, 100]\n    target:")
    trials = space.load(str(written(tmp_path, text))).trials
    random = [trial for trial in trials if trial.initialization == "random"]
    assert len(random) == 8
    assert {trial.label for trial in trials} == {"random", "ISIC2019-50", "ISIC2019-100"}


def test_the_paper_s_name_of_a_sized_source(tmp_path: Path) -> None:
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
        ("title: a test", "finetune: {weighting: odd}", "`weighting` is 'odd'; known: inverse_frequency"),
        ("title: a test", "finetune: {lr: 1}", "unknown key `lr`"),
        ("title: a test", "datasets: {DRIVE: {split: mine}}", "`split` is 'mine'; known: official, random"),
        ("title: a test", "title: [a", "not YAML"),
        ("title: a test", "\ttitle: a", "not YAML"),
        ("title: a test", "title: !!python/object:os.system x", "the tag `!!python/object:os.system`"),
        ("experiments:", "experiments: 3\nwas:", "`experiments` is 3; a list of blocks of factors"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert any(told in problem for problem in problems(tmp_path, GOOD.replace(old, new, 1)))


def test_all_mistakes_in_one_pass(tmp_path: Path) -> None:
    text = GOOD.replace("size: 64", "size: 7").replace("DRIVE", "DRAVE").replace("resnet18", "vgg")
    assert len(problems(tmp_path, text)) == 3


def test_multiplying_aliases_are_refused(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
    assert "more than" in problems(tmp_path, "a0: &a0 [1]\n" + levels)[0]


def test_a_million_trials_are_refused(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(80_000)))
    assert "trials; at most" in problems(tmp_path, GOOD.replace("[0, 1]", f"[{seeds}]"))[0]


def test_unknown_space_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean demo"):
        space.load("dmeo")


@pytest.mark.parametrize("path", sorted(reader.FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_space_of_the_repository_loads(path: Path) -> None:
    found = space.load(path.stem)
    assert found.trials or found.analyses
    header = path.read_text().split("\n\n")[0]
    assert "grid.run --space" in header.replace("make demo", "grid.run --space")
    assert "Expect:" in path.read_text()
    assert "Cost:" in path.read_text()


@given(st.permutations(["initialization", "backbone", "target", "seed"]))
def test_the_order_of_keys_does_not_matter(order: list[str]) -> None:
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
        "import sys; from grid import run, plan, space; space.load('demo');"
        "print([m for m in ('ray', 'torch', 'mlflow', 'pandas', 'pyarrow', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
