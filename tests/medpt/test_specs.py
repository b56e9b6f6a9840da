"""Specifications: what they need, what enters their digest, and their form in JSON."""

import json
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar

import pytest

from medpt.evaluation_spec import Evaluate
from medpt.identity import canonical_json, digest, to_json
from medpt.normalisation import Normalisation
from medpt.protocol import TrainingProtocol
from medpt.specs import (
    SPECS,
    Coordinates,
    Features,
    Filters,
    Finetune,
    Frozen,
    ImageFeatures,
    ImageFree,
    Prepare,
    Pretrain,
    Probe,
    Slides,
    Survive,
    Svcca,
    UnitSpec,
)

PRETRAIN = Pretrain(("ISIC2019",), ("source",), "resnet18", "classifier")
GUARDED = replace(PRETRAIN, guards=("target",))
FINETUNE = Finetune("ISIC2019", "weights", "DRIVE", "data", "resnet18", "unet")
EXAMPLES: list[tuple[UnitSpec, tuple[str, ...]]] = [
    (Prepare("DRIVE", "f", "resize(64)"), ()),
    (Prepare("DRIVE", "f", "roi(64)", detector="detector"), ("detector",)),
    (PRETRAIN, ("source",)),
    (GUARDED, ("source", "target", PRETRAIN.digest)),
    (FINETUNE, ("data", "weights")),
    (replace(FINETUNE, weights=None), ("data",)),
    (replace(FINETUNE, normalisation=Normalisation((0.5,) * 3, (0.5,) * 3)), ("data", "weights")),
    (Slides("TCGA-LGG", "f"), ()),
    (Features("ISIC2019", "weights", "TCGA-LGG", "data", "resnet18"), ("data", "weights")),
    (Survive("cox", "none", None, "TCGA-LGG", "data", "features", "handcrafted"), ("data", "features")),
    (Coordinates("DRIVE", "data", options={"seeds": 2}), ("data",)),
    (Svcca("ISIC2019", "weights", "resnet18", ("one", "two")), ("one", "two", "weights")),
    (Filters("ISIC2019", "weights", "resnet18"), ("weights",)),
    (Probe("ISIC2019", "weights", "DRIVE", "data", "resnet18"), ("data", "weights")),
    (Probe("random", None, "DRIVE", "data", "resnet18", networks=20), ("data",)),
    (ImageFree("DRIVE", "data"), ("data",)),
    (ImageFeatures("ISIC2019", "weights", "EyePACS", "data", "resnet18"), ("data", "weights")),
    (
        Frozen("ISIC2019", "weights", "EyePACS", "data", "features", "resnet18", "knn"),
        ("data", "features"),
    ),
    (Evaluate("network", "DRIVE", "data", "blur", 2), ("data", "network")),
    (
        Evaluate("network", "HRF", "data", target_data="target", source_data=("source",)),
        ("data", "network", "target", "source"),
    ),
]


@pytest.mark.parametrize(("spec", "inputs"), EXAMPLES, ids=lambda value: getattr(value, "kind", ""))
def test_inputs_name_data_before_weights(spec: UnitSpec, inputs: tuple[str, ...]) -> None:
    assert spec.inputs() == inputs


@pytest.mark.parametrize(("spec", "inputs"), EXAMPLES, ids=lambda value: getattr(value, "kind", ""))
def test_spec_round_trips_through_json(spec: UnitSpec, inputs: tuple[str, ...]) -> None:
    parsed = SPECS[spec.kind].from_json(json.loads(json.dumps(spec.to_json())))
    assert parsed == spec
    assert parsed.digest == spec.digest


def test_examples_have_every_kind() -> None:
    assert {spec.kind for spec, _ in EXAMPLES} == set(SPECS)


def test_digest_depends_on_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(PRETRAIN).digest
    monkeypatch.setattr(Pretrain, "version", Pretrain.version + 1)
    assert replace(PRETRAIN).digest != before


@pytest.mark.parametrize("kind", SPECS)
def test_omitted_fields_default_to_none(kind: str) -> None:
    """A result that was named before the field existed is read back with None."""
    defaults = {field.name: field.default for field in fields(SPECS[kind])}
    assert all(defaults.get(name, MISSING) is None for name in SPECS[kind].omitted_when_none)


@dataclass(frozen=True)
class Inner:
    omitted_when_none: ClassVar[tuple[str, ...]] = ("young",)
    old: int | None = None
    young: int | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    old: Any = None


def test_to_json_omits_fields_of_nested_dataclasses_while_they_are_none() -> None:
    assert to_json(Outer()) == {"inner": {"old": None}, "old": None}
    assert to_json(Outer(Inner(young=1))) == {"inner": {"old": None, "young": 1}, "old": None}


def test_digest_is_the_hash_of_canonical_json() -> None:
    assert digest({"b": 1.0, "a": (1,)}) == digest({"a": [1], "b": 1})
    assert canonical_json({"b": 1.0, "a": (1,)}) == '{"a":[1],"b":1}'
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_protocol_round_trips_through_json() -> None:
    protocol = TrainingProtocol(weight_clip=(0.5, 2.0), evaluate_every=3)
    assert TrainingProtocol.from_json(json.loads(json.dumps(to_json(protocol)))) == protocol
