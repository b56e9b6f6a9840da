import json
import subprocess
import sys
from dataclasses import replace
from typing import Any, get_args

import pytest

from medpt import precision
from medpt.identity import digest, to_json
from medpt.protocol import (
    IMPLICIT,
    SELF_SUPERVISED_METHODS,
    UNWEIGHTED,
    Loss,
    TrainingProtocol,
    losses_of,
    self_supervised_protocol,
)
from medpt.units import pretrain


@pytest.mark.parametrize(
    ("images", "batch", "steps"),
    [(16, 16, 5_000), (4_000, 16, 5_000), (4_001, 16, 5_002), (5_232, 16, 6_540), (50_000, 16, 20_000)],
)
def test_self_supervised_protocol_takes_20_epochs_within_5000_to_20000_steps(
    images: int, batch: int, steps: int
) -> None:
    found = self_supervised_protocol(images, TrainingProtocol(batch_size=batch, learning_rate=3e-4))
    assert (found.max_steps, found.evaluate_every, found.patience) == (steps, 250, 20)
    assert (found.learning_rate, found.batch_size) == (3e-4, batch)
    assert found.problems() == []


def test_self_supervised_protocol_shortens_a_longer_base() -> None:
    found = self_supervised_protocol(20, TrainingProtocol(min_steps=50_000, max_steps=60_000))
    assert (found.min_steps, found.max_steps) == (5_000, 5_000)


def test_self_supervised_methods_are_those_that_run() -> None:
    assert {pretrain.SUPERVISED, *SELF_SUPERVISED_METHODS} == set(pretrain.METHODS)


def test_protocol_does_not_load_torch() -> None:
    code = "import sys, medpt.protocol; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("native", [True, False])
def test_auto_precision_is_resolved_before_hashing(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_native_bf16", lambda: native)
    resolved = TrainingProtocol(precision="bf16" if native else None)
    for found in (TrainingProtocol(precision="auto"), replace(TrainingProtocol(), precision="auto")):
        assert found == resolved
        assert digest(to_json(found)) == digest(to_json(resolved))
    assert ("precision" in to_json(resolved)) == native


def test_fp32_is_stored_as_the_default() -> None:
    assert TrainingProtocol(precision="fp32") == TrainingProtocol()
    assert "precision" not in to_json(TrainingProtocol(precision="fp32"))


@pytest.mark.parametrize("field", sorted(IMPLICIT))
def test_default_written_out_is_the_same_protocol(field: str) -> None:
    written: Any = {field: IMPLICIT[field]}
    assert TrainingProtocol(**written) == TrainingProtocol()
    assert TrainingProtocol().value(field) == IMPLICIT[field]
    assert to_json(TrainingProtocol(**written)).keys() == to_json(TrainingProtocol()).keys()
    assert field not in to_json(TrainingProtocol())


@pytest.mark.parametrize("loss", UNWEIGHTED)
def test_loss_without_class_weights_has_no_weighting(loss: Any) -> None:
    assert TrainingProtocol(loss=loss, weighting="none") == TrainingProtocol(loss=loss)
    assert TrainingProtocol(loss="focal", weighting="none") != TrainingProtocol(loss="focal")


def test_protocol_is_read_as_it_was_written() -> None:
    protocol = TrainingProtocol(loss="focal", optimizer="sgd", schedule="cosine", augment="none")
    assert TrainingProtocol.from_json(json.loads(json.dumps(to_json(protocol)))) == protocol


def test_dice_needs_masks_and_et_net_has_losses_of_its_own() -> None:
    assert losses_of("segmentation", "unet") == get_args(Loss)
    assert losses_of("classification", "classifier") == ("balanced_ce", "ce", "focal")
    assert losses_of("segmentation", "etnet") == ("balanced_ce",)
