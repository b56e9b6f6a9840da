"""The protocol of a trial: the settings that its result depends on, named by a hash of their values.

Trials under other settings are other trials, even where all factors are equal. Where data come from
(`folder`, `phantom`) is not a setting here: other data change the digests of the units.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from grid.space.sources import can_transfer_decoder, source_datasets
from grid.space.trials import PAPER_METRICS, Settings, Space, Trial
from medpt.data import optic_disc
from medpt.frozen_specs import FINETUNE
from medpt.identity import canonical_json
from medpt.protocol import IMPLICIT, TrainingProtocol
from medpt.specs import CLASSIFIER

Values = Mapping[str, Any]  # by the name of the setting, such as `learning_rate` or `pretrain.learning_rate`

IMAGE_KEYS = ("split", "pipeline", "options")  # of an entry of `datasets`, for every image dataset
SLIDE_KEYS = ("options", "patches")
DIGITS = 8
TRAINING = tuple(item.name for item in fields(TrainingProtocol))
# Of a trial on images; a block of a space may give any of them several values
PROTOCOL_FIELDS = ("mode", "size", *(name for name in TRAINING if name != "weight_clip"))
FROZEN_FIELDS = ("validation_fraction", "precision")  # of TRAINING, what has a meaning without training
UNSET = IMPLICIT | {"mode": FINETUNE}  # what a field without a value stands for


def headline_metric(target: str, settings: Settings) -> str:
    """Return the metric that chooses a target's weights and is shown in its tables.

    Wen et al. 2021 take the micro-averaged AUC of classes, which rewards the shares of the classes.
    """
    card = settings.card(target)
    if settings.metrics == "paper" or card.task in ("segmentation", "survival"):
        return PAPER_METRICS[card.task]
    return "kappa" if card.ordinal else "macro_auc"


def protocol_values(trial: Trial) -> Values:
    """Return the settings that the result of `trial` depends on, without those that are None."""
    settings, entry = trial.settings, asdict(trial.settings.of(trial.target))
    values: dict[str, Any] = {"metric": trial.headline}
    values["evaluate_by"] = settings.card(trial.target).evaluate_by
    if trial.task == "survival":
        model = settings.survival.get(trial.architecture, {})
        return _flat(values | {key: entry[key] for key in SLIDE_KEYS} | {trial.architecture: model})
    mode = None if settings.mode == FINETUNE else settings.mode
    values |= {"mode": mode, "size": settings.size}
    values |= {
        name: getattr(settings.finetune, name) for name in (FROZEN_FIELDS if is_frozen(trial) else TRAINING)
    }
    values |= {key: entry[key] for key in (*IMAGE_KEYS, "roi")}
    return _flat(values | (_pretraining(settings, (optic_disc.SOURCE,)) if entry["roi"] else {}))


def source_protocol_values(trial: Trial) -> Values:
    """Return the settings that the pre-training of `trial` depends on, or what published weights it has.

    Empty where nothing is trained and `imagenet*` or a random network is meant.
    """
    if weights := trial.settings.weights.get(trial.initialization):
        return {"weights": weights.identity[:DIGITS]}
    names = source_datasets(trial.initialization, trial.target, trial.settings)
    if not names:
        return {}
    decoder = trial.settings.transfer_decoder and can_transfer_decoder(
        trial.initialization, trial.architecture, trial.settings
    )
    cut = {"roi": trial.settings.of(optic_disc.SOURCE).roi if optic_disc.SOURCE in names else None}
    return _flat(_pretraining(trial.settings, names) | cut | {"transfer_decoder": decoder})


def protocol_fields(values: Values) -> dict[str, Any]:
    """Return PROTOCOL_FIELDS among the settings of a trial; None where they have no meaning for it.

    A field without a value has that of the task, or the one that UNSET names.
    """
    if not any(name in values for name in PROTOCOL_FIELDS):  # survival models, and stores of version 0.3.1
        return dict.fromkeys(PROTOCOL_FIELDS)
    return {
        name: values.get(name, UNSET.get(name)) if has_meaning(name, values) else None
        for name in PROTOCOL_FIELDS
    }


def has_meaning(name: str, values: Values) -> bool:
    """Whether a setting has a meaning in a protocol: one without training has no learning rate."""
    trains = "mode" not in values or "learning_rate" in values
    return trains or name not in TRAINING or name in FROZEN_FIELDS


def differs(name: str, protocols: Iterable[Values]) -> bool:
    """Whether one of PROTOCOL_FIELDS has several values among the protocols in which it has a meaning."""
    return len({protocol_fields(values)[name] for values in protocols if has_meaning(name, values)}) > 1


def with_protocol_fields(settings: Settings, values: Values) -> Settings:
    """Return the settings with these of PROTOCOL_FIELDS for all trials on images."""
    protocol = replace(settings.finetune, **{name: values[name] for name in TRAINING if name in values})
    size, mode = values.get("size", settings.size), values.get("mode", settings.mode)
    return replace(settings, size=size, mode=mode, finetune=protocol, factors=values)


def settings_of_mode(settings: Settings, task: str) -> Settings:
    """Return the settings for targets of a task, without those that have no meaning in their mode.

    Segmentation with a frozen encoder trains a decoder; its mode implies `freeze`.
    """
    if settings.mode == FINETUNE:
        return settings
    if task == "segmentation":
        protocol, unused = replace(settings.finetune, freeze="encoder"), {"freeze"}
    else:
        kept = {name: getattr(settings.finetune, name) for name in FROZEN_FIELDS}
        protocol, unused = TrainingProtocol(**kept), {*TRAINING} - {*FROZEN_FIELDS}
    factors = {name: value for name, value in settings.factors.items() if name not in unused}
    return replace(settings, finetune=protocol, factors=factors)


def is_frozen(trial: Trial) -> bool:
    """Whether a trial is predicted from fixed features, so that it trains no network."""
    return trial.settings.mode != FINETUNE and trial.architecture == CLASSIFIER


def describe_factors(settings: Settings) -> list[str]:
    """Return the protocol's fields that the block of a trial gives, such as `learning_rate 0.001`."""
    return [f"{name} {_text(value)}" for name, value in settings.factors.items()]


def protocol_hash(values: Values) -> str:
    """Return eight hexadecimal digits of the values' SHA-256, or "" for no values."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:DIGITS] if values else ""


def without_fields(values: Values, names: Collection[str]) -> Values:
    """Return a protocol without the fields `names`: trials of which a space selects are compared under it."""
    return {name: value for name, value in values.items() if name not in names}


def describe_difference(
    protocols: Mapping[str, Values], hashes: Iterable[str], *, without: Collection[str] = ()
) -> dict[str, str]:
    """Describe each protocol by the settings in which the given ones differ: `learning_rate 0.001`.

    `protocols` gives the values by hash; a hash that it lacks (of a store of version 0.3.1) counts as a
    protocol without values. The texts are empty where nothing differs but settings of `without`.
    """
    found = {name: protocols.get(name, {}) for name in hashes}
    used = ["mode", *(key for values in found.values() for key in values)]
    keys = dict.fromkeys(key for key in used if key not in without)
    meant = {key: [v for v in found.values() if has_meaning(key, v)] for key in keys}
    differing = [key for key in keys if len({canonical_json(v.get(key)) for v in meant[key]}) > 1]
    return {
        name: ", ".join(
            f"{key} {_text(values.get(key, UNSET.get(key)))}" for key in differing if has_meaning(key, values)
        )
        for name, values in found.items()
    }


def _pretraining(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """A collection is validated on the protocol's fraction, a single dataset on its own where it has one.

    With labels all images of a source are prepared, whatever its `split` as a target.
    """
    keys = ("pipeline", "options") + (("validation_fraction",) if len(names) == 1 else ())
    entries = {name: asdict(settings.of(name)) for name in names}
    return {"pretrain": asdict(settings.pretrain)} | {
        name: {key: entry[key] for key in keys} for name, entry in entries.items()
    }


def _flat(values: Values, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[prefix + key] = list(value) if isinstance(value, tuple) else value
    return found


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else canonical_json(value)


def protocols_of(space: Space) -> dict[str, Values]:
    """Return the settings that each protocol of the space's trials stands for, by hash."""
    target = {trial.protocol: trial for trial in space.trials}
    source = {trial.source_protocol: trial for trial in space.trials if trial.source_protocol}
    values = {name: protocol_values(trial) for name, trial in target.items()}
    return values | {name: source_protocol_values(trial) for name, trial in source.items()}
