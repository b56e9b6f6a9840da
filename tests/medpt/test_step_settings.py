import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from memory_inputs import run_pretrain
from torch import Tensor
from training_runs import SHORT, TRAIN, VAL, Certain, KilledError, Mortal, assert_same, network, timeless
from training_sets import shades

from medpt import step_settings
from medpt.checkpoint import Checkpoints
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain
from medpt.step_settings import CANDIDATES, SettingsCache, choose_settings, fastest
from medpt.tasks.base import StepSettings, TrainingSetup
from medpt.train import TrainingResult, fit

CPU = torch.device("cpu")
LONG = replace(SHORT, max_steps=500)
PLAIN, FAST = StepSettings(), StepSettings(channels_last=True, fused=True)


def setup(settings: StepSettings | None = None, loader: Any = None) -> TrainingSetup:
    task = Certain(torch.ones(2))
    return TrainingSetup(network(), task, loader or shades(), TRAIN, VAL, settings=settings)


def trained(
    settings: StepSettings | None, loader: Any = None, **options: Any
) -> tuple[dict[str, Tensor], TrainingResult]:
    made = setup(settings, loader)
    result = fit(made, SHORT, 0, **options)
    return made.model.state_dict(), result


def timed(monkeypatch: pytest.MonkeyPatch, times: dict[StepSettings, float]) -> list[StepSettings]:
    """Let the candidates take these seconds, else 1; return those that are timed."""
    found: list[StepSettings] = []

    def seconds(settings: StepSettings, *rest: object) -> float:
        found.append(settings)
        return times.get(settings, 1.0)

    monkeypatch.setattr(step_settings, "seconds", seconds)
    return found


@pytest.mark.parametrize("settings", CANDIDATES, ids=str)
def test_settings_change_metrics_by_rounding_only(settings: StepSettings) -> None:
    plain, chosen = trained(PLAIN)[1], trained(settings)[1]
    assert chosen.settings == settings
    for one, other in zip(timeless(plain.history), timeless(chosen.history), strict=True):
        assert other == pytest.approx(one, abs=1e-3)


@pytest.mark.parametrize("settings", CANDIDATES, ids=str)
def test_killed_training_resumes_with_its_recorded_settings(settings: StepSettings, tmp_path: Path) -> None:
    complete = trained(settings)
    checkpoints = Checkpoints(tmp_path, seconds=0)
    with pytest.raises(KilledError):
        trained(settings, Mortal(shades(), 8), checkpoints=checkpoints)
    other = FAST if settings == PLAIN else PLAIN
    assert_same(trained(other, checkpoints=checkpoints), complete)


def test_fastest_needs_a_gain_of_5_percent_over_the_usual_settings() -> None:
    assert fastest(lambda settings: {FAST: 0.96}.get(settings, 1.0), CPU) == PLAIN
    assert fastest(lambda settings: {FAST: 0.95}.get(settings, 1.0), CPU) == FAST
    assert fastest(lambda settings: {PLAIN: 0.9}.get(settings, 1.0), CPU) == PLAIN


def test_trial_times_every_candidate_once_and_leaves_the_network_alone(tmp_path: Path) -> None:
    made = setup()
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    settings = choose_settings(made, LONG, "toy", CPU, tmp_path / "cache" / "cpu.json")
    assert settings in CANDIDATES
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.model.state_dict().items())
    assert list(SettingsCache(tmp_path / "cache" / "cpu.json").read().values()) == [settings]


def test_settings_are_kept_by_network_size_batch_and_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, path = timed(monkeypatch, {FAST: 0.5}), tmp_path / "cpu.json"
    for protocol in (LONG, LONG, replace(LONG, batch_size=3), replace(LONG, precision="bf16")):
        assert choose_settings(setup(), protocol, "toy", CPU, path) == FAST
    choose_settings(setup(), LONG, "other", CPU, path)
    choose_settings(setup(loader=shades(size=64)), LONG, "toy", CPU, path)
    assert len(found) == 5 * len(CANDIDATES)
    assert len(json.loads(path.read_text())) == 5


def test_short_trainings_have_the_usual_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = timed(monkeypatch, {FAST: 0.5})
    assert choose_settings(setup(), SHORT, "toy", CPU, tmp_path / "cpu.json") == PLAIN
    assert (found, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize("content", ["{", "[1]", '{"toy": {"threads": 3}}', '{"toy": 1}', "\0"])
def test_damaged_cache_is_reported_and_written_anew(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    timed(monkeypatch, {FAST: 0.5})
    path = tmp_path / "cpu.json"
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert choose_settings(setup(), LONG, "toy", CPU, path) == FAST
    assert f"{path} is damaged" in caplog.text
    assert list(SettingsCache(path).read().values()) == [FAST]


@pytest.mark.parametrize("tune", [True, False])
def test_unit_reports_the_settings_of_its_steps(
    tune: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = timed(monkeypatch, {FAST: 0.5})
    monkeypatch.setattr(step_settings, "LEAST_STEPS", 2)
    protocol = TrainingProtocol(batch_size=4, min_steps=0, max_steps=2, evaluate_every=2)
    spec = Pretrain(("Toy",), ("digest",), "shufflenet_v2", "classifier", protocol=protocol)
    reported: list[StepSettings] = []
    cache = tmp_path / "cpu.json" if tune else None
    run_pretrain(spec, [shades()], tmp_path, settings_cache=cache, on_settings=reported.append)
    assert reported == [FAST if tune else PLAIN]
    assert bool(found) == tune
