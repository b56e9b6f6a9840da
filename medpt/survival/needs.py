"""The survival models by name, and what each has to be given; nothing heavy is imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelInputs:
    """`network`: a deep encoder, so an initialization; `features`: of that encoder, frozen.

    `handcrafted`: the vectors of medpt/survival/handcrafted.py; `pixels`: the patches themselves.
    """

    network: bool = False
    features: bool = False
    handcrafted: bool = False
    pixels: bool = False


NEEDS: dict[str, ModelInputs] = {
    "km": ModelInputs(network=True, features=True, pixels=True),
    "spectral": ModelInputs(network=True, features=True, pixels=True),
    "wsisa-mtlsa": ModelInputs(network=True, pixels=True),
    "deepattnmisl": ModelInputs(network=True, features=True),
    "rsf": ModelInputs(handcrafted=True),
    "boostci": ModelInputs(handcrafted=True),
    "cox": ModelInputs(),
}
