"""Protocols of trials: which settings they name, which trials are merged, how differences are described."""

from pathlib import Path
from typing import Any

import pytest

from grid.plan.initialization import space_datasets
from grid.plan.planner import build_plan
from grid.space import load
from grid.space.protocols import describe_difference, protocol_hash, protocols_of
from grid.space.trials import Space

BLOCK = """
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    seed: [0, 1]
"""
SURVIVAL = """
experiments:
  - initialization: [random]
    architecture: [km]
    target: [TCGA-LGG]
    seed: [0]
"""
CHANGES = {  # a setting: whether random weights, then a source, are another trial for it
    "finetune: {learning_rate: 0.001}": (True, True),
    "pretrain: {learning_rate: 0.001}": (False, True),
    "transfer_decoder: true": (False, False),
    "size: 64": (True, True),
    "datasets: {DRIVE: {split: random}}": (True, True),
    "datasets: {DRIVE: {pipeline: resize(32)}}": (True, True),
    "datasets: {DRIVE: {roi: 640}}": (True, True),
    "datasets: {DRIVE: {folder: elsewhere}}": (False, False),
    "datasets: {DRIVE: {validation_fraction: 0.2}}": (False, False),
    "datasets: {ISIC2019: {validation_fraction: 0.2}}": (False, True),
    "datasets: {ISIC2019: {pipeline: resize(32)}}": (False, True),
    "datasets: {ISIC2019: {split: random}}": (False, False),  # all images of a source are prepared
    "datasets: {HRF: {pipeline: resize(32)}}": (False, False),
    "survival: {deepattnmisl: {}}": (False, False),
}


def loaded(folder: Path, text: str, name: str = "space") -> Space:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return load(str(path))


def digests(space: Space) -> list[str]:
    prints = {name: f"print of {name}" for name in space_datasets(space)}
    return [digest for _, digest in build_plan(space, prints, {}).trials]


def changed(before: Space, after: Space, initialization: str) -> bool:
    mine = {trial for trial in before.trials if trial.initialization == initialization}
    return not mine & set(after.trials)


@pytest.mark.parametrize(("setting", "expected"), CHANGES.items(), ids=CHANGES)
def test_protocol_names_the_settings_that_a_result_depends_on(
    tmp_path: Path, setting: str, expected: tuple[bool, bool]
) -> None:
    before, after = loaded(tmp_path, BLOCK), loaded(tmp_path, f"{setting}\n{BLOCK}")
    assert (changed(before, after, "random"), changed(before, after, "ISIC2019")) == expected


@pytest.mark.parametrize("setting", CHANGES)
def test_trials_of_one_protocol_are_one_unit(tmp_path: Path, setting: str) -> None:
    before, after = loaded(tmp_path, BLOCK), loaded(tmp_path, f"{setting}\n{BLOCK}")
    for old, new, mine, other in zip(
        before.trials, after.trials, digests(before), digests(after), strict=True
    ):
        assert (old == new) == (mine == other)


def test_source_protocol_names_a_decoder_that_is_transferred(tmp_path: Path) -> None:
    text = BLOCK.replace("ISIC2019", "CHAOS-CT, ISIC2019")
    before, after = loaded(tmp_path, text), loaded(tmp_path, f"transfer_decoder: true\n{text}")
    assert changed(before, after, "CHAOS-CT")
    assert not changed(before, after, "ISIC2019")


def test_protocol_of_a_survival_trial_names_its_models_options(tmp_path: Path) -> None:
    (before,) = loaded(tmp_path, SURVIVAL).trials
    (model,) = loaded(tmp_path, f"survival: {{km: {{epochs: 3}}}}\n{SURVIVAL}").trials
    (other,) = loaded(tmp_path, f"survival: {{deepattnmisl: {{epochs: 3}}}}\nsize: 64\n{SURVIVAL}").trials
    assert model.protocol != before.protocol == other.protocol


def including(folder: Path, *texts: str) -> Space:
    names = [str(folder / f"part{n}.yaml") for n, _ in enumerate(texts)]
    for name, text in zip(names, texts, strict=True):
        Path(name).write_text(text)
    return loaded(folder, f"include: [{', '.join(names)}]\n", "whole")


def test_included_spaces_of_two_learning_rates_keep_their_trials(tmp_path: Path) -> None:
    rates = [f"finetune: {{learning_rate: {rate}}}\n{BLOCK}" for rate in ("0.0001", "0.01")]
    space = including(tmp_path, *rates)
    assert len(space.trials) == len(set(digests(space))) == 8
    low, high = dict.fromkeys(trial.protocol for trial in space.trials)
    described = describe_difference(protocols_of(space), [low, high])
    assert described == {low: "learning_rate 0.0001", high: "learning_rate 0.01"}


def test_included_spaces_of_equal_settings_are_merged(tmp_path: Path) -> None:
    assert len(including(tmp_path, BLOCK, f"title: again\n{BLOCK}").trials) == 4


def test_random_weights_have_no_source_protocol(tmp_path: Path) -> None:
    hashes = {t.initialization: t.source_protocol for t in loaded(tmp_path, BLOCK).trials}
    assert hashes["random"] == ""
    assert len(hashes["ISIC2019"]) == 8


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"a": 1, "b": [1]}, {"a": 1, "b": [1]}], {""}),
        ([{"a": 1}, {"a": 2}], {"a 1", "a 2"}),
        ([{"a": 1, "roi": 640}, {"a": 1}], {"roi 640", "roi none"}),
        ([{"a": 1, "b": True}, {"a": 2, "b": False}], {"a 1, b true", "a 2, b false"}),
    ],
)
def test_difference_names_only_the_keys_that_differ(values: list[dict[str, Any]], expected: set[str]) -> None:
    found = {protocol_hash(each): each for each in values}
    assert set(describe_difference(found, found).values()) == expected


def test_difference_from_a_protocol_of_an_old_store_is_described() -> None:
    assert describe_difference({"12345678": {"a": 1}}, ["", "12345678"]) == {"": "a none", "12345678": "a 1"}


@pytest.mark.parametrize(
    ("target", "paper", "else_"),
    [
        ("ChestXRay2017", "auc", "macro_auc"),
        ("CIFAR-100", "auc", "macro_auc"),
        ("MESSIDOR", "auc", "kappa"),
        ("DRIVE", "miou", "miou"),
    ],
)
def test_headline_metric_is_the_papers_only_where_a_space_is_reported(
    tmp_path: Path, target: str, paper: str, else_: str
) -> None:
    block = f"experiments: [{{initialization: [random], target: [{target}], seed: [0]}}]\n"
    own, theirs = loaded(tmp_path, block), loaded(tmp_path, f"metrics: paper\n{block}")
    assert (own.trials[0].headline, theirs.trials[0].headline) == (else_, paper)
    assert (own.trials[0].protocol == theirs.trials[0].protocol) == (paper == else_)
    assert (digests(own) == digests(theirs)) == (paper == else_)
