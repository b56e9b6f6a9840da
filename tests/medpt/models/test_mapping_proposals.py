"""Proposals: a prefix, numbered layers or the order under which a foreign file fits an encoder."""

from random import Random

import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medpt.models.mapping_proposals import propose
from medpt.models.weights import expected_tensors

EXPECTED = expected_tensors("resnet18")
LAYERS = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")


def meta(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@settings(max_examples=60, deadline=None)
@given(
    prefix=st.text(alphabet="ab1_.0", max_size=14),
    head=st.sampled_from(["fc.", "head_", "projector.0."]),
    order=st.randoms(use_true_random=False),
)
def test_any_consistent_prefix_is_found(prefix: str, head: str, order: Random) -> None:
    names = list(EXPECTED)
    order.shuffle(names)
    tensors = {prefix + name: EXPECTED[name] for name in names}
    tensors |= meta(**{f"{prefix}{head}weight": (9, 512), "queue": (512, 9)})
    best = propose(EXPECTED, tensors)[0]
    assert (best.matched, best.total) == (120, 120)
    assert best.mapping.strip == prefix
    kept = best.mapping.renamed(tensors)
    assert {new: old for new, old in kept.items() if new in EXPECTED} == {n: prefix + n for n in EXPECTED}
    assert kept.keys() == EXPECTED.keys()


def test_layers_by_number_are_renamed_to_the_encoders() -> None:
    with torch.device("meta"):
        network = torch.nn.Sequential(*list(torchvision.models.resnet18().children()))
    best = propose(EXPECTED, {f"backbone.{k}": v for k, v in network.state_dict().items()})[0]
    numbers = ("0.", "1.", "4.", "5.", "6.", "7.")
    assert best.mapping.rename == dict(zip(numbers, (f"{name}." for name in LAYERS), strict=True))
    assert (best.mapping.strip, best.mapping.drop, best.matched) == ("backbone.", ("9.",), 120)


def test_order_is_proposed_where_no_name_fits() -> None:
    tensors = {f"net.part{n}.x": tensor for n, tensor in enumerate(EXPECTED.values())}
    tensors |= meta(**{"net.last.x": (9, 512)})
    best = propose(EXPECTED, tensors)[0]
    assert best.mapping.match == "order"
    assert best.mapping.strip + best.mapping.drop[0] in ("net.last.x", "net.last.")


def test_first_layer_for_grey_images_is_proposed_as_one_channel() -> None:
    tensors = EXPECTED | meta(**{"conv1.weight": (64, 1, 7, 7)})
    assert propose(EXPECTED, tensors)[0].text == "`channels: 1`: 120 of 120 match"


def test_counters_that_the_file_lacks_are_not_counted() -> None:
    tensors = {name: tensor for name, tensor in EXPECTED.items() if "num_batches" not in name}
    assert propose(EXPECTED, tensors)[0].text == "no mapping: 100 of 100 match"


def test_another_network_has_no_proposal() -> None:
    with torch.device("meta"):
        assert propose(EXPECTED, torchvision.models.vgg11().state_dict()) == []
