"""Published weights have the tensors of the unit's network, and finite values."""

from collections.abc import Callable
from dataclasses import replace

import laboratories
import pytest
import torch
from laboratories import Laboratory, path_of
from safetensors.torch import load, save
from torch import Tensor

from grid.registry.folder import Registry
from grid.registry.network_claims import weight_problems
from grid.registry.pull import refused_batches
from grid.registry.records import file_name
from medpt.errors import InputError
from medpt.models.classifier import set_heads
from medpt.models.registry import build_network
from medpt.models.weights import random_weights
from medpt.specs import CLASSIFIER, Pretrain

FILE = "best.safetensors"
SPEC = Pretrain(("Toy",), ("data",), "shufflenet_v2", CLASSIFIER)
STATE = build_network(CLASSIFIER, "shufflenet_v2", 3).state_dict()
FIRST = "encoder.conv1.0.weight"

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def without(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if key != name}


def with_nan(state: dict[str, Tensor]) -> dict[str, Tensor]:
    tensor = state[FIRST].clone()
    tensor[0, 0, 0, 0] = float("nan")
    return state | {FIRST: tensor}


CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda s: without(s, "logits.bias"), "missing tensor logits.bias"),
    "unexpected": (lambda s: s | {"more": torch.ones(1)}, "unexpected tensor more"),
    "shape": (lambda s: s | {"logits.bias": torch.ones(5)}, r"logits.bias: float32 \(5,\) where float32"),
    "type": (lambda s: s | {FIRST: s[FIRST].double()}, f"{FIRST}: float64 .* where float32"),
    "nan": (with_nan, f"{FIRST} has values that are not finite"),
    "inf": (lambda s: s | {FIRST: s[FIRST] / 0}, f"{FIRST} has values that are not finite"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_of_another_network_are_refused(
    name: str, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    change, message = CHANGES[name]
    digest = first.digests("pretrain")[0]
    unit = laboratories.shared(registry, digest)
    content = path_of(registry, file_name(unit.artifacts[FILE])).read_bytes()
    laboratories.forge_file(registry, digest, FILE, save(change(load(content))))
    with pytest.raises(InputError, match=f"{FILE}: {message}"):
        laboratories.take(second, Registry(registry.place), first, lambda units: [])
    assert len(refused_batches(second.store)) == 1
    assert second.store.finished() == set()


def test_networks_of_collections_have_a_head_for_each_dataset() -> None:
    spec = replace(SPEC, datasets=("A", "B"), data=("a", "b"))
    state = set_heads(build_network(CLASSIFIER, "shufflenet_v2", 3), (3, 2)).state_dict()
    assert list(weight_problems(spec, {FILE: state}, (3, 2))) == []
    (problem,) = weight_problems(spec, {FILE: state}, (3, 4))
    assert problem.startswith(f"{FILE}: logits.1.weight: float32 (2,")


def test_of_unknown_classes_and_self_supervision_the_encoder_is_compared() -> None:
    state = random_weights("shufflenet_v2", 0)
    assert list(weight_problems(SPEC, {FILE: state}, None)) == []
    jigsaw = replace(SPEC, method="jigsaw")
    assert list(weight_problems(jigsaw, {FILE: state | {"head": torch.ones(1)}}, (3,))) == []
    (problem,) = weight_problems(jigsaw, {FILE: random_weights("resnet18", 0)}, (3,))
    assert problem.startswith(f"{FILE}: missing tensor encoder.")
    assert problem.endswith(" more)")


def test_networks_of_extensions_are_not_built_but_both_files_compared() -> None:
    spec = replace(SPEC, extensions={"backbone mine": "my-nets 0.1"}, backbone="mine")
    states = {"init.safetensors": {"a": torch.ones(2)}, FILE: {"a": torch.ones(3)}}
    (problem,) = weight_problems(spec, states, (3,))
    assert problem == f"{FILE}, beside init.safetensors: a: float32 (3,) where float32 (2,) is expected"
    assert list(weight_problems(SPEC, {FILE: STATE}, (3,))) == []
