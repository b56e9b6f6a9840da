"""The survival models by name, and what each has to be given; nothing heavy is imported."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """`network`: a deep encoder, so an initialization; `features`: of that encoder, frozen.

    `handcrafted`: the vectors of medpt/survival/handcrafted.py; `pixels`: the patches themselves.
    """

    network: bool = False
    features: bool = False
    handcrafted: bool = False
    pixels: bool = False


NEEDS: dict[str, Needs] = {
    "km": Needs(network=True, features=True, pixels=True),
    "spectral": Needs(network=True, features=True, pixels=True),
    "wsisa-mtlsa": Needs(network=True, pixels=True),
    "deepattnmisl": Needs(network=True, features=True),
    "rsf": Needs(handcrafted=True),
    "boostci": Needs(handcrafted=True),
    "cox": Needs(),
}
