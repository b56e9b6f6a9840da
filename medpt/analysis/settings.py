"""What the paper leaves open of the modality distance (cmv, cmd); nothing heavy is imported."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

from medpt.errors import InputError
from medpt.models.registry import BACKBONES

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


@dataclass(frozen=True)
class Settings:
    """What the paper leaves open of equations 1-3; the numbers are rows of the specification's table 2.1.

    Rows 4, 7, 8 and 16 leave no choice: batch norm is the identity before training, "in" reads "subset of",
    all t_a · t_b pairs are averaged, and the mean is over as many inits as there are.

    Raises InputError with every field whose value is not accepted.
    """

    network: str = "resnet18"  # 1: the paper's basic backbone; its epsilons are like the paper's
    maxpool: Literal["max", "avg"] = "max"  # 2: the paper takes out three things, and this is none of them
    head: Literal["linear", "pca", "first"] = "linear"  # 3: equation 1 gives F two outputs
    n: int = 100  # 5: images a subset, never more than half of the set; fits the size of the paper's epsilons
    t: int = 50  # 6: subsets, drawn independently
    self_pairs: bool = False  # 9: a point's distance to itself is always 0
    scaling: Literal["divide", "multiply"] = "divide"  # 10: only that gives "the same magnitude"
    paper_scales: bool = False  # 11: epsilon depends on F, n and the pixels, so it is measured
    seeds: int = 10  # 12: one random head of two outputs differs by a factor of 2 to 4 from the next
    distribution: Literal["normal", "uniform"] = "normal"  # 13: equal in scale
    clahe: bool = True  # 14: images as in training
    size: int = 256  # 14: pixels; values are in [0, 1], without mean and deviation
    reference: tuple[str, ...] = ("ImageNet", "ADE20K", "CIFAR-100")  # 15: first one at hand gives epsilon
    inits: tuple[str, ...] = INITS  # equation 3

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
