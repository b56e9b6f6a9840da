"""Optimizers, the cosine schedule and frozen encoders, and that training applies them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_runs import SHORT, TRAIN, VAL, Certain, train
from training_sets import shades

from medpt.models.classifier import select_head, set_heads
from medpt.models.registry import build_classifier
from medpt.optimiser import build_optimiser, scheduled_rate, use_bfloat16
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import TrainingSetup
from medpt.train import evaluation_batches, fit

COSINE = replace(SHORT, schedule="cosine")


def test_cosine_schedule_starts_at_the_rate_and_is_half_of_it_in_the_middle() -> None:
    protocol = TrainingProtocol(learning_rate=0.2, min_steps=0, max_steps=100, schedule="cosine")
    assert scheduled_rate(protocol, 1) == 0.2
    assert scheduled_rate(protocol, 51) == pytest.approx(0.1)
    assert scheduled_rate(protocol, 100) == pytest.approx(0.2 * (1 - math.cos(math.pi / 100)) / 2)
    assert scheduled_rate(protocol, 26) == pytest.approx(0.1 * (1 + math.sqrt(0.5)))


def test_training_takes_each_step_at_the_scheduled_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.SGD.step

    def watched(self: Any, *args: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    protocol = replace(COSINE, optimizer="sgd")
    train(protocol=protocol)
    assert rates == [scheduled_rate(protocol, number) for number in range(1, 15)]


@pytest.mark.parametrize(
    ("name", "kind", "settings"),
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0, "nesterov": False}),
    ],
)
def test_optimizer_is_that_of_the_protocol(name: Any, kind: type, settings: dict[str, Any]) -> None:
    optimiser = build_optimiser(nn.Linear(2, 2), TrainingProtocol(learning_rate=0.3, optimizer=name))
    assert type(optimiser) is kind
    (group,) = optimiser.param_groups
    assert {key: group[key] for key in settings} == settings
    assert group["lr"] == 0.3


def by_encoder(state: dict[str, Tensor]) -> Iterator[tuple[bool, str, Tensor]]:
    return ((name.startswith("encoder."), name, tensor.clone()) for name, tensor in state.items())


@pytest.mark.parametrize("freeze", ["encoder", "none"])
def test_frozen_encoder_keeps_every_tensor(freeze: Any) -> None:
    """Weights, and the statistics of batch norm; also in the evaluations between the steps."""
    torch.manual_seed(0)
    model = build_classifier("resnet18", 2)
    before = list(by_encoder(model.state_dict()))
    setup = TrainingSetup(model, Certain(torch.ones(2)), shades(), TRAIN, VAL)
    fit(setup, replace(SHORT, max_steps=4, evaluate_every=2, freeze=freeze), 0)
    after = model.state_dict()
    changed = {in_encoder for in_encoder, name, tensor in before if not torch.equal(tensor, after[name])}
    assert changed == ({False} if freeze == "encoder" else {False, True})


def test_network_of_several_heads_computes_in_bfloat16_with_each() -> None:
    model = set_heads(build_classifier("resnet18", 2), [2, 3]).eval()
    use_bfloat16(model, torch.device("cpu"))
    for number, classes in enumerate((2, 3)):
        logits = select_head(model, number)(torch.rand(2, 3, 32, 32))
        assert (logits.shape, logits.dtype) == ((2, classes), torch.bfloat16)


def test_without_augmentation_every_image_is_seen_as_it_is() -> None:
    seen: list[Tensor] = []

    class Watch(Certain):
        def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
            seen.extend(images)
            return super().loss(model, images, targets)

    loader = shades()
    for how in ("none", "dihedral"):
        seen.clear()
        protocol = replace(SHORT, augment=how, batch_size=3, max_steps=3)
        train(loader, protocol=protocol, task=Watch(torch.ones(2)))
        known = {image.numpy().tobytes() for image in plain_images(loader)}
        assert ({image.numpy().tobytes() for image in seen} == known) == (how == "none")


def plain_images(loader: Any) -> Tensor:
    batches = evaluation_batches(loader, TRAIN, torch.device("cpu"))
    return torch.cat([images for images, _ in batches])
