"""What the paper leaves open of the modality distance (cmv, cmd); nothing heavy is imported."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal

from medpt.errors import InputError
from medpt.models.registry import BACKBONES
from medpt.protocol import decision
from medpt.schema import strict_dataclass

INITS = ("kaiming", "orthogonal", "xavier")
LEAST = {"n": 1, "t": 2, "seeds": 1, "size": 32}
CHOICES: dict[str, tuple[Any, ...]] = {
    "network": BACKBONES,
    "maxpool": ("max", "avg"),
    "head": ("linear", "pca", "first"),
    "scaling": ("divide", "multiply"),
    "distribution": ("normal", "uniform"),
    "self_pairs": (False, True),
    "paper_scales": (False, True),
    "clahe": (False, True),
}


@strict_dataclass
class Settings:
    """What the paper leaves open of equations 1-3, each value with its reason.

    Not left open: batch norm is the identity before training, "in" reads "subset of", all t_a · t_b pairs are
    averaged, and the mean is over as many inits as there are.
    """

    network: str = decision("resnet18", "the paper's basic backbone; its epsilons are like the paper's")
    maxpool: Literal["max", "avg"] = decision(
        "max", "the paper removes three kinds of layers, and pooling is not among them"
    )
    head: Literal["linear", "pca", "first"] = decision("linear", "equation 1 gives F two outputs")
    n: int = decision(
        100, "images of a subset, at most half of the dataset; agrees with the paper's epsilons"
    )
    t: int = decision(50, "subsets, drawn independently")
    self_pairs: bool = decision(False, "a point's distance to itself is 0 and says nothing")
    scaling: Literal["divide", "multiply"] = decision("divide", 'only that gives "the same magnitude"')
    paper_scales: bool = decision(False, "epsilon depends on F, n and the pixels, so it is measured")
    seeds: int = decision(10, "one random head of two outputs differs by a factor of 2 to 4 from the next")
    distribution: Literal["normal", "uniform"] = decision("normal", "equal in scale")
    clahe: bool = decision(True, "images as in training")
    size: int = decision(256, "pixels; values are in [0, 1], without mean and deviation")
    reference: tuple[str, ...] = decision(
        ("ImageNet", "ADE20K", "CIFAR-100"), "the first that the space has gives epsilon"
    )
    inits: tuple[str, ...] = decision(INITS, "equation 3")

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise InputError(problems)


def _problems(settings: Settings) -> Iterable[str]:
    for field in fields(settings):
        name, value = field.name, getattr(settings, field.name)
        if name in CHOICES and value not in CHOICES[name]:
            yield f"{name}: {value!r}; accepted: {', '.join(map(str, CHOICES[name]))}"
        if name in LEAST and (type(value) is not int or value < LEAST[name]):
            yield f"{name}: {value!r}; accepted: an integer of {LEAST[name]} or more"
    if not settings.inits or set(settings.inits) - set(INITS):
        yield f"inits: {settings.inits!r}; accepted: one or more of {', '.join(INITS)}"


DEFAULTS = Settings()
