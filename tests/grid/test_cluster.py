"""cluster.yaml against the schema that ships with Ray, and what it promises."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_it_has_only_keys_that_ray_knows(cluster: dict[str, Any]) -> None:
    found = find_spec("ray")
    assert found
    assert found.origin
    schema = json.loads((Path(found.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"initial_workers": 1}, schema)


def test_no_trial_runs_on_the_head(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0
    workers = [node for name, node in types.items() if name != cluster["head_node_type"]]
    assert all(node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot" for node in workers)
    assert all(node["min_workers"] == 0 for node in workers)


def test_it_is_not_open_to_the_world(cluster: dict[str, Any]) -> None:
    starts = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert any("--dashboard-host=127.0.0.1" in line for line in starts)
