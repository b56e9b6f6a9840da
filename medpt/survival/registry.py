"""The survival models by the names that spaces use, and what each has to be given; importing it is cheap."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from medpt.errors import InputError
from medpt.schema import validate
from medpt.survival.options import (
    BoostCiOptions,
    ClusteredOptions,
    CoxOptions,
    DeepAttnMislOptions,
    ForestOptions,
    WsisaOptions,
)
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
    """A module of this package with a function `predict`, which takes a study and the options."""

    module: str
    inputs: ModelInputs
    options_type: type
    options: Mapping[str, Any] = field(default_factory=dict)  # where they differ from the type's

    def predict(self, study: Study, options: Mapping[str, Any]) -> Prediction:
        """Fit on the training patients of `study` and return the risks of all patients.

        Raises InputError for an option that the model does not take and for inputs that the study lacks,
        DivergedError for a risk or a loss that is not finite.
        """
        _, problems = validate(self.options_type, options)
        if problems:
            raise InputError(f"{self.module}: {text}" for _, text in problems)
        module = import_module(f"medpt.survival.{self.module}")
        given = self.options_type(**{**self.options, **options})
        prediction: Prediction = module.predict(study, given)
        return prediction


CLUSTERED = ModelInputs(network=True, features=True, pixels=True)

SURVIVAL_MODELS = {
    "km": SurvivalModel("direct", CLUSTERED, ClusteredOptions, {"clustering": "km"}),
    "spectral": SurvivalModel("direct", CLUSTERED, ClusteredOptions, {"clustering": "sp"}),
    "wsisa-mtlsa": SurvivalModel("wsisa", ModelInputs(network=True, pixels=True), WsisaOptions),
    "deepattnmisl": SurvivalModel(
        "deepattnmisl", ModelInputs(network=True, features=True), DeepAttnMislOptions
    ),
    "rsf": SurvivalModel("forest", ModelInputs(handcrafted=True), ForestOptions),
    "boostci": SurvivalModel("boostci", ModelInputs(handcrafted=True), BoostCiOptions),
    "cox": SurvivalModel("cox", ModelInputs(), CoxOptions),
}
