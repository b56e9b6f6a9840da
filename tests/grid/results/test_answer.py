"""The answer of a comparison: what is named, what is said of how sure it is, and the text of each case."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_cells import trial

from grid.report.export import to_csv
from grid.results.answer import Answer, answers, describe, out_option
from grid.results.cells import find_cells
from grid.results.controls import TRIVIAL, Control

RNG = np.random.default_rng(0)


def _frame(
    values: dict[str, list[float]], repeat: str = "seed", planned: int = 0, **more: object
) -> pd.DataFrame:
    rows = []
    for name, scores in values.items():
        for n, value in enumerate([*scores, *[None] * max(0, planned - len(scores))]):
            state = "missing" if value is None else "finished"
            number = {repeat: n} | ({"seed": 0} if repeat == "fold" else {})
            rows.append(trial(0, value, state, initialization=name, source=name) | more | number)
            rows[-1]["digest"] = f"{name} {n}"
    return pd.DataFrame(rows)


def _answer(*arguments: object, **more: object) -> Answer:
    (found,) = answers(_frame(*arguments, **more))  # type: ignore[arg-type]
    return found


CLEAR = {"random": [0.60, 0.61, 0.62], "ISIC2019": [0.70, 0.71, 0.72], "ADE20K": [0.625, 0.63, 0.635]}
CLOSE = {"random": [0.60, 0.65, 0.55], "ISIC2019": [0.61, 0.67, 0.56]}


def test_clear_winner_is_named_with_its_gain_over_random_and_the_next() -> None:
    found = _answer(CLEAR)
    assert (found.best, found.ties) == ("ISIC2019", ())
    assert found.over_random is not None
    assert found.over_random.verdict == "better"
    assert found.over_random.value == pytest.approx(10)
    assert found.over_random.low < 10 < found.over_random.high
    assert found.over_second is not None
    assert found.over_second.over == "ADE20K"
    text = describe(found)
    assert text.startswith(
        "ISIC2019 is the best of 3 initializations for DRIVE (U-Net / ResNet-18; mean IoU 71.0 %"
    )
    assert "Its gain over random weights is +10.0 points [" in text
    assert "corrected for 2 comparisons" in text


def test_undecided_gain_whose_interval_excludes_zero_is_explained() -> None:
    found = _answer(CLEAR)
    assert found.over_random is not None
    gain = replace(found.over_random, low=0.5, high=30.7, p_better=0.98, verdict="undecided")
    text = describe(replace(found, over_random=gain))
    assert "undecided (P(better) 0.98, not certain enough, corrected for 2 comparisons)" in text
    text = describe(replace(found, over_random=replace(gain, low=-0.5)))
    assert "undecided (P(better) 0.98)" in text


def test_undecided_answer_names_what_cannot_be_told_apart_and_what_would_decide() -> None:
    found = _answer(CLOSE, seconds=1800.0)
    assert (found.best, found.ties) == ("ISIC2019", ("random",))
    assert found.over_random is not None
    assert found.over_random.verdict == "undecided"
    text = describe(found)
    assert "has the highest mean of 2 initializations" in text
    assert "but random weights cannot be distinguished from it" in text
    assert f"would be decided by {found.over_random.repeats_needed} seeds of each (about " in text


def test_too_few_test_images_ask_for_images_and_not_for_runs(tmp_path: Path) -> None:
    np.savez(tmp_path / "items.npz", confusions=RNG.integers(1, 30, (2, 2, 2)))
    text = describe(_answer(CLOSE, items=str(tmp_path / "items.npz")))
    assert "without an interval: undecided" in text
    assert "More test images are needed for an interval." in text
    assert "Note: no interval: fewer than 3 test images or patients." in text


def test_random_weights_can_be_the_best() -> None:
    found = _answer({"random": [0.70, 0.71, 0.72], "ISIC2019": [0.60, 0.61, 0.62]})
    assert found.over_random is None
    assert found.over_second is not None
    assert describe(found).startswith("Random weights are the best of 2 initializations")
    assert "above the next, ISIC2019" in describe(found)


def test_splits_are_called_splits_and_their_overlap_limits_what_more_of_them_decide() -> None:
    few = {"random": [0.60, 0.66, 0.57, 0.62, 0.60], "ISIC2019": [0.62, 0.60, 0.63, 0.61, 0.64]}
    found = _answer(few, "fold")
    assert found.over_random is not None
    assert found.repeats == "split"
    assert found.over_random.repeats_needed is None  # the overlap of the training sets remains
    assert "too small for more splits or images alone" in describe(found)


def test_nothing_learned_names_the_causes_and_no_winner() -> None:
    frame = _frame(CLEAR)
    frame.attrs["controls"] = [
        Control(TRIVIAL, "DRIVE", "", frozenset(frame["digest"]), {"miou": 0.72}, {}),
    ]
    (found,) = answers(frame)
    assert not found.learned
    assert found.trivial == pytest.approx(72)
    text = describe(found)
    assert text.startswith("Nothing was learned on DRIVE")
    assert "too few training steps" in text
    assert "is the best" not in text


def test_random_weights_that_are_best_are_plural() -> None:
    text = describe(_answer({"random": [0.70, 0.71, 0.72], "ISIC2019": [0.60, 0.61, 0.62]}))
    assert text.startswith("Random weights are the best of 2 initializations")
    assert "They are above the next, ISIC2019, by +10.0 points" in text


def test_control_without_images_is_a_caution() -> None:
    frame = _frame(CLEAR)
    digests = frozenset(frame["digest"])
    frame.attrs["controls"] = [Control("without images: file size", "DRIVE", "", digests, {"miou": 0.8}, {})]
    (found,) = answers(frame)
    assert found.learned
    assert "Caution: `without images: file size` reaches the best cell" in describe(found)


def test_interrupted_comparison_says_what_is_finished() -> None:
    found = _answer({"random": [0.6], "ISIC2019": []}, planned=3)
    assert (found.finished, found.planned, found.comparisons) == (1, 6, 0)
    text = describe(found)
    assert text.startswith("Random weights are the only finished one of 2 initializations for DRIVE")
    assert "have to be finished for a comparison" in text
    assert "1 of 6 runs is finished" in describe(found)
    assert answers(_frame({"random": []}, planned=2)) == []


def test_run_with_an_undefined_metric_is_finished_as_in_the_tables() -> None:
    """It counted `1 of 4 runs is finished`, where the report's tables had one undefined and two missing."""
    rows = _frame({"random": [0.6], "ISIC2019": []}, planned=2)
    rows.loc[rows["digest"] == "ISIC2019 0", "state"] = "finished"
    (found,) = answers(rows)
    table = pd.read_csv(StringIO(to_csv(find_cells(rows))))
    assert [found.planned - found.finished, found.undefined] == list(table[["missing", "undefined"]].sum())
    assert (found.finished, found.undefined, found.planned) == (2, 1, 4)
    text = describe(found)
    assert "2 of 4 runs are finished, 1 of them without a defined mean IoU." in text
    assert text.startswith("Random weights are the only one with a defined mean IoU, of 2 initializations")
    assert "Random weights and another initialization need a defined mean IoU for a comparison." in text


def test_answer_counts_test_images_and_patients(tmp_path: Path) -> None:
    path = tmp_path / "items.npz"
    np.savez(path, confusions=RNG.integers(1, 30, (12, 2, 2)), patients=np.arange(12) // 3)
    found = _answer(CLEAR, items=str(path))
    assert (found.images, found.patients) == (12, 4)
    assert "Tested on 12 images of 4 patients; 9 of 9 runs are finished." in describe(found)


def test_json_has_the_text_and_no_nan() -> None:
    stored = json.loads(json.dumps(_answer({"random": [0.6], "ISIC2019": [0.7]}).to_json(), allow_nan=False))
    assert stored["text"].startswith("ISIC2019 has the highest mean")
    assert stored["over_random"]["low"] is None
    assert "without an interval: undecided" in stored["text"]


def test_answer_ends_with_the_command_that_applies_the_best_networks() -> None:
    frame = _frame(CLEAR)
    assert "predict" not in describe(answers(frame)[0])  # a frame without a space
    frame.attrs |= {"space": "compare", "out": str(Path("runs").absolute())}
    (found,) = answers(frame)
    assert found.predict == "--space compare --where target=DRIVE,initialization=ISIC2019"
    command = f"medpt-grid predict {found.predict} IMAGES --to DIR"
    assert describe(found).endswith(f"To apply its networks to new images: `{command}`.")
    assert out_option(frame) == ""


def test_answer_names_the_initialization_without_the_remark_behind_it() -> None:
    found = _frame(CLEAR)
    found.attrs["notes"] = {"ISIC2019": "5,984 images"}
    text = describe(answers(found)[0])
    assert text.startswith("ISIC2019 (5,984 images) is the best of 3 initializations")
    assert 'To train with it: `initialization: ["ISIC2019"]` in a space file.' in text


def test_terminal_alone_names_the_store() -> None:
    """Reports and MLflow are read by others, whom the folders of a machine do not concern."""
    frame = _frame(CLEAR)
    frame.attrs |= {"space": "compare", "out": "/data/my runs"}
    (found,) = answers(frame)
    assert "/data" not in describe(found)
    assert "--where target=DRIVE,initialization=ISIC2019 --out '/data/my runs' IMAGES" in describe(
        found, out_option(frame)
    )


def test_command_names_the_factors_that_divide_the_trials_and_quotes() -> None:
    frame = _frame({"random": [0.5, 0.5], "imagenet*": [0.7, 0.8]}, backbone="resnet18")
    other = frame.assign(backbone="densenet121", digest=frame["digest"] + " other")
    both = pd.concat([frame, other], ignore_index=True)
    both.attrs |= {"space": "s", "out": "/data/my runs"}
    options = "--space s --where 'target=DRIVE,initialization=imagenet*,backbone={}'"
    assert [each.predict for each in answers(both)] == [
        options.format(name) for name in ("resnet18", "densenet121")
    ]


def test_command_leaves_out_factors_that_follow_from_those_before() -> None:
    """A linear probe has no learning rate: the mode alone tells it from a fine-tuning."""
    tuned = _frame({"random": [0.5, 0.5], "ISIC2019": [0.7, 0.8]}).assign(
        mode="finetune", learning_rate=1e-3, protocol="a"
    )
    probed = tuned.assign(mode="linear_probe", learning_rate=None, protocol="b")
    probed["digest"] += " probed"
    both = pd.concat([tuned, probed], ignore_index=True)
    both.attrs |= {"space": "s", "out": "/data/my runs"}
    options = "--space s --where target=DRIVE,initialization=ISIC2019,mode={}"
    assert [each.predict for each in answers(both)] == [
        options.format(mode) for mode in ("finetune", "linear_probe")
    ]
