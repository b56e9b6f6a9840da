from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.errors import InputError
from medpt.models.registry import ARCHITECTURES, build_classifier, build_encoder, build_segmenter
from medpt.models.self_supervised import JigsawNetwork
from medpt.models.weights import load
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune
from medpt.units import finetune

STILL = TrainingProtocol(
    learning_rate=0.0, batch_size=4, patience=9, min_steps=0, max_steps=1, validation_fraction=0.2
)
SPEC = Finetune(
    *("Source", "w", "Toy", "d", "shufflenet_v2", "unet"), seed=1, transfer_decoder=True, protocol=STILL
)


def source(architecture: str = "unet", classes: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(9)
    return build_segmenter(architecture, "shufflenet_v2", classes).state_dict()


def trained(folder: Path, spec: Finetune, initial: Any, feed: Any = None) -> dict[str, torch.Tensor]:
    """The network after one step with a learning rate of zero: only batch norm's statistics have moved."""
    inputs = MemoryInputs({spec.data: feed or squares(train=10, size=64)}, after=initial)
    finetune.run(spec, inputs, job_in(folder, checkpoint_seconds=0))
    (file,) = (folder / "checkpoints").glob("*.safetensors")
    return {name.removeprefix("model/"): value for name, value in load(file).items() if "model/" in name}


def learned(state: dict[str, torch.Tensor], prefix: str) -> list[str]:
    return [
        name
        for name in state
        if name.startswith(prefix) and not name.endswith(("running_mean", "running_var", "tracked"))
    ]


def test_training_starts_from_the_decoder_only_where_it_is_asked_for(tmp_path: Path) -> None:
    state = source()
    with_it = trained(tmp_path / "with", SPEC, state)
    without = trained(tmp_path / "without", replace(SPEC, transfer_decoder=False), state)
    weights = [name for name in learned(state, "blocks.") if state[name].ndim == 4]
    assert len(weights) == 10
    assert all(torch.equal(with_it[name], state[name]) for name in learned(state, "blocks."))
    assert not any(torch.equal(without[name], state[name]) for name in weights)
    for found in (with_it, without):
        assert all(torch.equal(found[name], state[name]) for name in learned(state, "encoder."))
        assert found["logits.weight"].shape[0] == 2


@pytest.mark.parametrize("architecture", ["unet", "deeplabv3plus", "hynet", "etnet"])
def test_every_network_takes_its_own_decoder(tmp_path: Path, architecture: str) -> None:
    state = source(architecture)
    found = trained(tmp_path, replace(SPEC, architecture=architecture), state)
    outside = [
        name
        for name in learned(state, "")
        if not name.startswith(("encoder.", "logits.")) and state[name].shape == found[name].shape
    ]
    assert outside
    assert all(torch.equal(found[name], state[name]) for name in outside)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "unet"])
def test_decoder_of_another_architecture_is_refused(tmp_path: Path, architecture: str) -> None:
    message = "transfer_decoder: the weights of Source have no decoder of unet"
    with pytest.raises(InputError, match=message):
        trained(tmp_path, SPEC, source(architecture))


def test_weights_without_a_decoder_are_refused(tmp_path: Path) -> None:
    permutations = torch.arange(9).repeat(4, 1)
    states = (
        JigsawNetwork(build_encoder("shufflenet_v2"), permutations).state_dict(),
        build_classifier("shufflenet_v2", 3).state_dict(),
    )
    for state in states:
        with pytest.raises(InputError, match="have no decoder of unet"):
            trained(tmp_path, SPEC, state)
    with pytest.raises(InputError, match="have no decoder of unet"):
        trained(tmp_path, replace(SPEC, weights=None), None)


def test_classifier_has_no_decoder_to_transfer(tmp_path: Path) -> None:
    state = build_classifier("shufflenet_v2", 3).state_dict()
    spec = replace(SPEC, architecture="classifier")
    with pytest.raises(InputError, match="no decoder tensor of Classifier matches"):
        trained(tmp_path, spec, state, shades(train=15))


def test_option_names_another_result() -> None:
    assert SPEC.digest != replace(SPEC, transfer_decoder=False).digest
