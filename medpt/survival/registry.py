"""The survival models by the names that spaces use, and what each has to be given; importing it is cheap."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any

from medpt.errors import InputError, did_you_mean
from medpt.survival.study import Prediction, Study


@dataclass(frozen=True)
class ModelInputs:
    """What a model reads of a study besides follow-up and clinical columns; each is a field of `Study`."""

    network: bool = False  # a deep encoder, and so an initialization
    features: bool = False  # of that encoder, frozen
    handcrafted: bool = False  # the vectors of medpt.survival.handcrafted
    pixels: bool = False  # the patches themselves


@dataclass(frozen=True)
class SurvivalModel:
    """A module of this package with a function `predict` and a dataclass `Options`."""

    module: str
    inputs: ModelInputs
    options: Mapping[str, Any] = field(default_factory=dict)  # where they differ from the module's

    def predict(self, study: Study, options: Mapping[str, Any]) -> Prediction:
        """Fit on the training patients of `study` and return the risks of all patients.

        Raises InputError for an option that the model does not have and for inputs that the study lacks,
        DivergedError for a risk or a loss that is not finite.
        """
        module = import_module(f"medpt.survival.{self.module}")
        known = [field.name for field in fields(module.Options)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise InputError(f"{self.module}: option {name}: {did_you_mean(name, known)}" for name in unknown)
        prediction: Prediction = module.predict(study, module.Options(**{**self.options, **options}))
        return prediction


SURVIVAL_MODELS = {
    "km": SurvivalModel(
        "direct", ModelInputs(network=True, features=True, pixels=True), {"clustering": "km"}
    ),
    "spectral": SurvivalModel(
        "direct", ModelInputs(network=True, features=True, pixels=True), {"clustering": "sp"}
    ),
    "wsisa-mtlsa": SurvivalModel("wsisa", ModelInputs(network=True, pixels=True)),
    "deepattnmisl": SurvivalModel("deepattnmisl", ModelInputs(network=True, features=True)),
    "rsf": SurvivalModel("forest", ModelInputs(handcrafted=True)),
    "boostci": SurvivalModel("boostci", ModelInputs(handcrafted=True)),
    "cox": SurvivalModel("cox", ModelInputs()),
}
