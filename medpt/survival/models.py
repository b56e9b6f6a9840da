"""The survival models: functions of a study, by the names that spaces use. Each is imported when it runs."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any

from medpt.errors import InputError, did_you_mean
from medpt.survival.study import Prediction, Study

Options = Mapping[str, Any]
"""What differs from a model's own options (the dataclass `Options` of its file)."""


def _km(study: Study, options: Options) -> Prediction:
    from medpt.survival import direct

    return _predict(direct, study, {"clustering": "km", **options})


def _spectral(study: Study, options: Options) -> Prediction:
    from medpt.survival import direct

    return _predict(direct, study, {"clustering": "sp", **options})


def _wsisa(study: Study, options: Options) -> Prediction:
    from medpt.survival import wsisa

    return _predict(wsisa, study, options)


def _deepattnmisl(study: Study, options: Options) -> Prediction:
    from medpt.survival import deepattnmisl

    return _predict(deepattnmisl, study, options)


def _rsf(study: Study, options: Options) -> Prediction:
    from medpt.survival import forest

    return _predict(forest, study, options)


def _boostci(study: Study, options: Options) -> Prediction:
    from medpt.survival import boostci

    return _predict(boostci, study, options)


def _cox(study: Study, options: Options) -> Prediction:
    from medpt.survival import baseline

    return _predict(baseline, study, options)


SURVIVAL_MODELS: dict[str, Callable[[Study, Options], Prediction]] = {
    "km": _km,
    "spectral": _spectral,
    "wsisa-mtlsa": _wsisa,
    "deepattnmisl": _deepattnmisl,
    "rsf": _rsf,
    "boostci": _boostci,
    "cox": _cox,
}
"""`MODELS[name](study, options)`; what each needs of a study is in medpt/survival/needs.py.

Raises InputError for an option that the model does not have and for what the study lacks.
"""


def _predict(model: ModuleType, study: Study, options: Options) -> Prediction:
    known = [field.name for field in fields(model.Options)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise InputError(f"{model.__name__}: {name}: {did_you_mean(name, known)}" for name in unknown)
    prediction: Prediction = model.predict(study, model.Options(**options))
    return prediction
