"""Which trials a selection means, and what refuses one."""

from pathlib import Path

import made_space
import numpy as np
import pytest
from PIL import Image

from grid.plan.plan import Plan
from grid.predictor import Predictor, select_trials
from grid.store.store import Store
from medpt.data import catalog
from medpt.data.new_images import NewImage
from medpt.disc_detector import Detector
from medpt.errors import InputError


@pytest.fixture
def made(tmp_path: Path) -> tuple[Plan, Store]:
    """A finished space whose fine-tunings kept no weights."""
    plan = made_space.plan(tmp_path)
    return plan, made_space.publish(plan, tmp_path / "out", set(), {})


def test_weights_that_were_not_kept_name_the_command(made: tuple[Plan, Store]) -> None:
    plan, store = made
    trial, digest = next((t, d) for t, d in plan.trials if plan.units[d].kind == "finetune")
    with pytest.raises(InputError, match="its weights were not kept") as caught:
        select_trials(plan, store, {"target": (trial.target,)}, digest[:20])
    assert plan.units[digest].label in caught.value.problems[0]
    assert f"--filter target={trial.target} --keep-missing" in caught.value.problems[-1]


def test_unknown_digest_is_refused(made: tuple[Plan, Store]) -> None:
    with pytest.raises(InputError, match="--digest zz: no fine-tuning of `made`"):
        select_trials(*made, {}, "zz")


def test_trial_that_is_not_finished_is_refused(made: tuple[Plan, Store], tmp_path: Path) -> None:
    plan, _ = made
    digest = next(d for _, d in plan.trials if plan.units[d].kind == "finetune")
    empty = Store(tmp_path / "empty")
    with pytest.raises(InputError, match="not finished; run the space again"):
        select_trials(plan, empty, {}, digest)


def test_ambiguous_selection_lists_the_factors_that_differ(made: tuple[Plan, Store]) -> None:
    plan, store = made
    target = next(t.target for t, d in plan.trials if plan.units[d].kind == "finetune")
    with pytest.raises(InputError, match="choose one by --where:") as caught:
        select_trials(plan, store, {"target": (target,)}, None)
    listed = caught.value.problems[1:]
    assert len(listed) == len(set(listed)) > 1
    assert all("target=" not in line and "initialization=" in line for line in listed)


def test_image_without_a_disc_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path)
    detector = Detector(tmp_path / "missing.safetensors", "shufflenet_v2", "unet", "resize(32)")

    def fail(self: Detector, image: object) -> None:
        raise InputError("no disc")

    monkeypatch.setattr(Detector, "find", fail)
    predictor = Predictor((), catalog.card("DRISHTI-GS"), "roi(32)|resize(32)", detector)
    with pytest.raises(InputError) as caught:
        predictor.prepare(NewImage(path, path.name))
    assert caught.value.problems == [f"{path}: no disc"]
