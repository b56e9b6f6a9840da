"""The networks that fine-tunings kept, as models of MLflow's page; their weights stay in the store.

MLflow calls such a model external. Its page has the scores on the test set, the run and what loads it.
"""

from typing import Any

from grid.plan.plan import Unit
from grid.store.kept_networks import has_network
from grid.store.store import Store
from grid.tracking.names import run_name
from grid.tracking.runs import DIGEST
from medpt.specs import Finetune
from medpt.trained_network import WEIGHTS

EXTERNAL = {"mlflow.model.isExternal": "true"}
BAD = str.maketrans(dict.fromkeys("/:.%\"'", "-"))  # that MLflow refuses in a model's name
NETWORK = "medpt.weights_sha256"  # on models, and on the runs whose model MLflow has


def kept_weights(store: Store, unit: Unit) -> str | None:
    """Return the checksum of the weights that a finished fine-tuning kept, None of another unit."""
    if not isinstance(unit.spec, Finetune):
        return None
    marker = store.marker(unit.digest)
    return marker.artifacts[WEIGHTS] if has_network(marker) else None


def find_or_create_model(
    connection: Any, experiment: str, run_id: str, store: Store, unit: Unit
) -> str | None:
    """Return the id of the model of a fine-tuning that kept its network, None of another unit.

    A model that an interrupted record left is taken. mlflow.create_external_model does the same and writes a
    file for the model registry, which these weights are not in.
    """
    weights = kept_weights(store, unit)
    if weights is None or not isinstance(unit.spec, Finetune):
        return None
    tags = EXTERNAL | {
        DIGEST: unit.digest,
        NETWORK: weights,
        "medpt.load": f"grid.store.kept_networks.load_network(Store({str(store.out)!r}), {unit.digest!r})",
    }
    query = f"source_run_id = '{run_id}'"
    if known := connection.search_logged_models([experiment], filter_string=query, max_results=1):
        connection.set_logged_model_tags(known[0].model_id, tags)
        return str(known[0].model_id)
    name = run_name(unit).translate(BAD)
    made = connection.create_logged_model(experiment, name, run_id, tags, model_type=unit.spec.architecture)
    return str(connection.finalize_logged_model(made.model_id, "READY").model_id)
