"""What is stored of networks is what they are; what was not measured counts as the largest that is alike."""

import pytest

from medpt.models.footprint import NETWORKS, footprint, measure
from medpt.models.registry import ARCHITECTURES, BACKBONES
from medpt.specs import CLASSIFIER


@pytest.mark.parametrize(
    ("architecture", "backbone"),
    [(CLASSIFIER, "mobilenet_v2"), ("unet", "resnet18"), ("etnet", "timm/convnext_nano")],
)
def test_stored_footprints_are_those_of_the_networks(architecture: str, backbone: str) -> None:
    assert (architecture, backbone) in NETWORKS
    measured, stored = measure(architecture, backbone), footprint(architecture, backbone)
    assert stored.gmacs == pytest.approx(measured.gmacs, abs=0.02)
    assert stored.megabytes == pytest.approx(measured.megabytes, abs=0.1)


def test_every_built_in_network_is_stored() -> None:
    built_in = {(each, backbone) for backbone in BACKBONES for each in (CLASSIFIER, *ARCHITECTURES)}
    assert built_in <= set(NETWORKS)
    assert all(footprint(*network).gmacs > 0 for network in NETWORKS)


def test_networks_that_were_not_measured_count_as_the_largest_that_is_alike() -> None:
    on_resnet18 = [footprint(architecture, "resnet18") for architecture in (CLASSIFIER, *ARCHITECTURES)]
    assert footprint("mine", "resnet18").gmacs == max(each.gmacs for each in on_resnet18)
    assert footprint(CLASSIFIER, "mine").gmacs == footprint(CLASSIFIER, "timm/vit_base_patch16_224").gmacs
    assert footprint("mine", "mine").megabytes == footprint("cenet", "resnet50").megabytes


def test_tag_of_timm_makes_no_difference() -> None:
    tagged = footprint(CLASSIFIER, "timm/vit_small_patch16_224.augreg_in21k")
    assert tagged == footprint(CLASSIFIER, "timm/vit_small_patch16_224")
