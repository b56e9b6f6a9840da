"""What the run of a unit holds in MLflow: tags, parameters, inputs, metrics and pictures."""

import getpass
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid import package_data
from grid.plan.plan import Plan, Unit
from grid.space.protocols import PROTOCOL_FIELDS
from grid.store.records import Marker
from grid.store.store import Store
from grid.tracking.names import COMMIT, TEST, metric_name
from medpt.frozen_specs import FINETUNE, LINEAR_PROBE
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, PUBLISHED_WEIGHTS, Evaluate, Filters, Finetune, Frozen, Prepare, Pretrain

MAX_PARAM = 6_000  # characters
DATASET_DIGEST = 36  # characters that MLflow keeps
CONTEXTS = {Pretrain.kind: "pre-training", Evaluate.kind: "testing"}  # of the data that a unit reads
PANEL = " panel"  # ends the names of a unit's arrays that are pictures of weights


def metrics(rows: Iterable[Mapping[str, float]]) -> list[Any]:
    """Return the metrics of rows of a history; their steps are no metric."""
    from mlflow.entities import Metric

    return [
        Metric(key, value, milliseconds(row["time"]), int(row["step"]))
        for row in rows
        for key, value in row.items()
        if key not in ("time", "step")
    ]


def final_metrics(unit: Unit, marker: Marker, step: int, model: str | None = None) -> list[Any]:
    """Return the final metrics at the last step: MLflow draws bars of single metrics at step 0.

    Scores on the test set are also those of the `model` with this id.
    """
    from mlflow.entities import Metric

    ended, results = milliseconds(marker.ended), {**marker.metrics, "seconds": marker.seconds}
    named = [(metric_name(unit, name), float(value)) for name, value in results.items()]
    return [
        Metric(name, value, ended, max(1, step), model_id=model if name.startswith(TEST) else None)
        for name, value in named
    ]


def result_tags(marker: Marker) -> dict[str, str]:
    """Return the tags that say what computed a result, and who."""
    tags = {"medpt.version": str(marker.version), "medpt.host": marker.host}
    return tags | ({"medpt.origin": marker.origin.publisher} if marker.origin else {})


def pictures(unit: Unit, store: Store) -> dict[str, NDArray[np.uint8]]:
    """Return pictures of a unit's weights by name, uint8 (H, W, 3). Pictures of data stay in the store."""
    if not isinstance(unit.spec, Filters):
        return {}
    with np.load(store.artifact(unit.digest, "filters.npz"), allow_pickle=False) as arrays:
        return {name.removesuffix(PANEL): arrays[name] for name in arrays.files if name.endswith(PANEL)}


def origin(plan: Plan) -> dict[str, str]:
    """Return the tags in which MLflow's page shows who ran what, from which commit."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": f"python -m grid.run --space {plan.space}",
        "mlflow.source.type": "LOCAL",
    }
    commit = package_data.commit()
    return tags | ({COMMIT: commit} if commit else {})


def _user() -> str:
    """Return the user's name, or MLflow's word where a container runs as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return "unknown"


def inputs(unit: Unit, plan: Plan) -> list[Any]:
    """Return the prepared data that a unit reads, each with the digest of its preparation."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    for data in (plan.units[name] for name in unit.needs if name in plan.units):
        if isinstance(data.spec, Prepare):
            context = InputTag("mlflow.data.context", CONTEXTS.get(unit.kind, "training"))
            source = json.dumps({"fingerprint": data.spec.fingerprint, "pipeline": data.spec.pipeline})
            dataset = Dataset(data.label, data.digest[:DATASET_DIGEST], "local", source)
            found.append(DatasetInput(dataset, [context]))
    return found


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow counts it."""
    return int(seconds * 1000)


def params(unit: Unit, plan: Plan) -> list[Any]:
    """Return the specification of a unit with its protocol, and the factors that queries name."""
    from mlflow.entities import Param

    values = unit.spec.to_json()
    values.pop("protocol", None)
    flat = values | _protocol(unit) | _factors(unit, plan)
    return [Param(key, str(value)[:MAX_PARAM]) for key, value in flat.items()]


def _protocol(unit: Unit) -> dict[str, Any]:
    protocol: TrainingProtocol | None = getattr(unit.spec, "protocol", None)
    if protocol is None:
        return {}
    return {f"protocol.{item.name}": protocol.value(item.name) for item in fields(protocol)}


def _factors(unit: Unit, plan: Plan) -> dict[str, str]:
    """Return the factors that a query names differently than the specification."""
    spec = unit.spec
    found: dict[str, str] = {}
    if isinstance(spec, Finetune | Frozen):
        data = plan.units[spec.data].spec
        found = {"target": spec.dataset, "split_seed": str(getattr(data, "split_seed", 0))}
        varied = _trained_fields(spec) if isinstance(spec, Finetune) else _frozen_fields(spec, plan)
        found |= {name: str(value) for name, value in (varied | {"size": plan.sizes[spec.data]}).items()}
    if isinstance(spec, Evaluate):
        found = _tested(unit, spec, plan)
    if isinstance(spec, Pretrain):
        found = {"source": "+".join(spec.datasets)}
    if getattr(spec, "initialization", "") == PUBLISHED_WEIGHTS:
        found["initialization"] = plan.initialization_of(spec)
    trained = plan.units.get(getattr(spec, "weights", None) or "", unit).spec
    return found | ({"pretrain_seed": str(trained.seed)} if isinstance(trained, Pretrain) else {})


def _tested(unit: Unit, spec: Evaluate, plan: Plan) -> dict[str, str]:
    """Return the test set, and the parameters of the fine-tuning whose network is tested."""
    own, names = spec.to_json(), {test.name for test in plan.tests if test.digest == unit.digest}
    trained = {param.key: param.value for param in params(plan.units[spec.network], plan)}
    return {key: value for key, value in trained.items() if key not in own} | {"test_set": ", ".join(names)}


def _trained_fields(spec: Finetune) -> dict[str, Any]:
    """Return the mode and the fields of the protocol; a frozen encoder below a decoder is a linear probe."""
    frozen = spec.architecture != CLASSIFIER and spec.protocol.freeze == "encoder"
    values = {name: spec.protocol.value(name) for name in PROTOCOL_FIELDS if name not in ("mode", "size")}
    return values | {"mode": LINEAR_PROBE if frozen else FINETUNE}


def _frozen_fields(spec: Frozen, plan: Plan) -> dict[str, Any]:
    features = plan.units[spec.features].spec
    return {"architecture": CLASSIFIER, "precision": getattr(features, "precision", None) or "fp32"}
