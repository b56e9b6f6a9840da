"""cluster.yaml and deploy/gcp.yaml against what ships with Ray: its schema, its defaults, its own checks."""

import json
import re
import shlex
import socket
from contextlib import nullcontext
from copy import deepcopy
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml

from grid.cluster import ray_session as session_module
from grid.cluster.ray_session import find_head, ray_session
from grid.package_data import unmet_requirements
from medpt.errors import InputError

ROOT = Path(__file__).parents[3]
FILES = ("cluster.yaml", "deploy/gcp.yaml")
TWINS = {  # what the two clouds have in common
    *("cluster_name", "max_workers", "upscaling_speed", "idle_timeout_minutes", "docker", "file_mounts"),
    *("head_start_ray_commands", "worker_start_ray_commands", "setup_commands", "head_node_type"),
}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text())


@pytest.fixture(params=FILES)
def cluster(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def workers(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    types = cluster["available_node_types"]
    return {name: node for name, node in types.items() if name != cluster["head_node_type"]}


def test_it_has_only_keys_that_ray_knows(cluster: dict[str, Any]) -> None:
    found = find_spec("ray")
    assert found
    assert found.origin
    schema = json.loads((Path(found.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"initial_workers": 1}, schema)


def test_ray_s_own_defaults_add_no_command(cluster: dict[str, Any]) -> None:
    """`ray up` fills in what a file leaves out: its defaults would fetch a wheel of Ray's development."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(deepcopy(cluster))
    validate_config(prepared)
    for key in (key for key in prepared if key.endswith("_commands")):
        assert prepared[key] == cluster[key]
    assert not any("pip" in line for key in prepared if "setup" in key for line in prepared[key])


def test_no_trial_runs_on_the_head(cluster: dict[str, Any]) -> None:
    assert cluster["available_node_types"][cluster["head_node_type"]]["resources"]["CPU"] == 0
    assert {node["labels"]["role"] for node in workers(cluster).values()} == {"train", "data"}
    assert all(node["min_workers"] == 0 for node in workers(cluster).values())


def test_workers_are_spot_machines() -> None:
    aws, google = map(read, FILES)
    for node in workers(aws).values():
        assert node["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    for node in workers(google).values():
        assert {"preemptible": True} in node["node_config"]["scheduling"]


def test_it_is_not_open_to_the_world(cluster: dict[str, Any]) -> None:
    starts = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in line for line in starts if "ray start" in line)
    assert any("--dashboard-host=127.0.0.1" in line for line in starts)
    assert "--env RAY_AUTH_MODE=token" in cluster["docker"]["run_options"]
    assert cluster["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert not re.search(r"--publish|-p \d|0\.0\.0\.0", str(cluster))


def test_results_lie_where_leases_hold(cluster: dict[str, Any]) -> None:
    """Every node mounts one NFS file system with the server's locks, and sees what others publish at once."""
    line = next(line for line in cluster["initialization_commands"] if "mount -t nfs" in line)
    words = shlex.split(line)
    options = words[words.index("-o") + 1].split(",")
    assert "lookupcache=positive" in options
    assert {"hard", "nfsvers=4.1"} <= set(options)
    assert not {"nolock", "local_lock=all", "local_lock=flock", "soft"} & set(options)
    assert words[-1] == "/shared"
    assert "--volume /shared:/shared" in cluster["docker"]["run_options"]


def test_twins_differ_only_in_their_cloud() -> None:
    aws, google = map(read, FILES)
    assert {key for key in aws if aws[key] == google[key]} >= TWINS
    assert aws.keys() == google.keys()
    for name, node in aws["available_node_types"].items():
        other = google["available_node_types"][name]
        assert {k: v for k, v in node.items() if k != "node_config"} == {
            k: v for k, v in other.items() if k != "node_config"
        }


def test_what_is_to_be_replaced_is_said(cluster: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """A word in capitals stands where a value of the user's own belongs, and the file's head explains it."""
    name = request.node.callspec.params["cluster"]
    head = "\n".join(line for line in (ROOT / name).read_text().splitlines() if line.startswith("#"))
    words = set(re.findall(r"\b(IMAGE|FILE_SYSTEM|MACHINE_IMAGE|PROJECT)\b", str(cluster)))
    assert words == {"IMAGE", "FILE_SYSTEM", "MACHINE_IMAGE"} | ({"PROJECT"} if "gcp" in name else set())
    assert all(re.search(rf"\b{word}\b", head) for word in words)


def test_find_head_returns_the_address_that_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        assert find_head(address) == address
        with pytest.raises(InputError, match="no Ray runs here"):
            find_head("auto")
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        assert find_head("auto") == address
    with pytest.raises(InputError, match="refused: start the head"):
        find_head(address)
    with pytest.raises(InputError, match="HOST:PORT of a Ray head"):
        find_head("nowhere")


def test_joining_a_head_that_is_missing_is_refused_at_once() -> None:
    with (
        pytest.raises(InputError, match=r"--address 127\.0\.0\.1:1: .*start the head"),
        ray_session("127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(("timeouts", "starts"), [(0, 1), (2, 3), (3, 3)])
def test_ray_is_started_again_on_a_busy_machine(
    timeouts: int, starts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def init(folder: Path, *_: Any) -> None:
        calls.append(folder)
        if len(calls) <= timeouts:
            raise RuntimeError("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr(session_module, "_init", init)
    monkeypatch.setattr(session_module, "_probe", lambda: None)
    outcome = pytest.raises(InputError, match="timed out") if timeouts == 3 else nullcontext()
    with outcome, session_module.ray_session(cpus=1):
        pass
    assert len(calls) == starts


def test_other_errors_of_the_start_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def init(folder: Path, *_: Any) -> None:
        calls.append(folder)
        raise OSError("no space left")

    monkeypatch.setattr(session_module, "_init", init)
    with pytest.raises(InputError, match="no space left"), session_module.ray_session(cpus=1):
        pass
    assert len(calls) == 1


def test_environment_in_which_ray_cannot_start_is_refused_with_every_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    session_module.check_environment("/opt/medpt/bin/python")
    with pytest.raises(InputError, match="path has a space"):
        session_module.check_environment("/my env/bin/python")
    session_module.check_environment(None)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InputError, match=r"path has a space[^\n]*\n.*set HOME=DIR"):
        session_module.check_environment("/my env/bin/python")


def test_run_does_not_wait_for_processes_that_never_start(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def never(*_: Any, timeout: float) -> None:
        raise ray.exceptions.GetTimeoutError(f"{timeout}")

    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: SimpleNamespace(remote=lambda: None))
    monkeypatch.setattr(ray, "get", never)
    with pytest.raises(InputError, match="started no process within 60 s"):
        session_module._probe()


def test_other_versions_of_ray_and_mlflow_are_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session_module.warn_of_versions()
    assert caplog.messages == []
    other = {"ray": "2.40.0", "mlflow": "3.18.0"}
    problems = unmet_requirements(lambda name: other.get(name) or metadata.version(name))
    monkeypatch.setattr(session_module, "unmet_requirements", lambda: problems)
    session_module.warn_of_versions()
    ray, mlflow = caplog.messages
    assert ray.startswith("ray[data,tune]==2.60.* (found: 2.40.0)")
    assert mlflow.startswith("mlflow<3.18,>=3.17 (found: 3.18.0)")
    assert all("make setup" in line for line in (ray, mlflow))
