"""deploy/: the Kubernetes job, the image and its lock, checked without a cluster, a daemon or a network."""

import json
import re
import shlex
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from grid.options import parse_options

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.fixture
def job() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())


# --- the Kubernetes job -------------------------------------------------------------------------------------


def schema() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "rayjob_schema.json").read_text())


def test_job_has_only_published_fields(job: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(job, schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "shutdownAfterJobFinish"),
        ("spec", "rayClusterSpec", "autoscaling"),
        ("spec", "rayClusterSpec", "headGroupSpec", "replicas"),
        ("spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "volume"),
    ],
)
def test_schema_finds_a_key_that_is_not_published(job: dict[str, Any], path: tuple[str, ...]) -> None:
    place = broken = deepcopy(job)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema(), jsonschema.Draft202012Validator)


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_job_asks_for_a_token_and_no_rights(job: dict[str, Any]) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    for pod in pods(job):
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_all_pods_share_results_and_have_memory_for_objects(job: dict[str, Any]) -> None:
    for pod in pods(job):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert volumes[mounts["/shared"]]["persistentVolumeClaim"]["claimName"] == "medpt-grid"
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"  # noqa: S108


def test_no_trial_runs_on_the_job_s_head_and_its_gpus_are_there_at_the_start(job: dict[str, Any]) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(group["replicas"] > 0 for group in cluster["workerGroupSpecs"])


def test_job_s_command_is_one_that_grid_run_takes(job: dict[str, Any]) -> None:
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "grid.run"]
    options = parse_options(words[3:])
    assert options.out.startswith("/shared")
    assert options.address == "auto"


def test_ray_s_version_is_the_locked_one(job: dict[str, Any]) -> None:
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}" in (
        DEPLOY / "requirements.lock"
    ).read_text().split("\n")


# --- the image ----------------------------------------------------------------------------------------------


def instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    lines = [line for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest) for word, _, rest in (line.partition(" ") for line in lines)]


def lint(text: str) -> list[str]:
    found = instructions(text)
    problems = []
    for word, rest in found:
        if word == "FROM" and not re.search(r":\d+\.\d+\.\d+[-a-z0-9]*@sha256:[0-9a-f]{64}$", rest):
            problems.append(f"FROM {rest}: no exact version with its digest")
        if word == "ADD" or re.search(r"curl|https?://", rest):
            problems.append(f"{word} {rest}: fetches what no lock names")
        if word in ("ENV", "ARG") and re.search(r"(SECRET|PASSWORD|TOKEN|KEY)\s*=", rest):
            problems.append(f"{word} {rest}: a secret in the image")
        if (
            word == "RUN"
            and "pip install" in rest
            and "--requirement" not in rest
            and "--no-deps" not in rest
        ):
            problems.append(f"RUN {rest}: not from the lock")
    users = [rest for word, rest in found if word == "USER"]
    if not users or users[-1] in ("root", "0"):
        problems.append("it runs as root")
    return problems


def test_image_is_pinned_locked_and_without_rights() -> None:
    assert lint((DEPLOY / "Dockerfile").read_text()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("FROM python:3.11.14-slim-bookworm", "FROM python:latest"),
        ("-bookworm@sha256:", "-bookworm@sha1:"),
        ("USER ray\n", ""),
        ("USER ray\n", "USER ray\nUSER root\n"),
        ("USER ray\n", "ADD https://example.org/x.tar /\nUSER ray\n"),
        ("ENV HOME=/home/ray", "ENV AWS_SECRET_ACCESS_KEY=x HOME=/home/ray"),
        ("--no-cache-dir --requirement /home/ray/medpt-grid/deploy/requirements.lock", "ray"),
    ],
)
def test_lint_finds_what_it_looks_for(before: str, after: str) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert before in text
    assert len(lint(text.replace(before, after))) == 1


def test_ray_s_launcher_finds_the_home_folder() -> None:
    """Ray mounts files of `~` where the image's own environment says HOME, else below /root."""
    text = " ".join(rest for word, rest in instructions((DEPLOY / "Dockerfile").read_text()) if word == "ENV")
    assert "HOME=/home/ray" in text.split()


def test_only_named_paths_enter_the_image() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    entering = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert all((ROOT / entry).exists() for entry in entering)
    for needed in ("grid", "medpt", "search_spaces", "deploy/requirements.lock", "deploy/gpus.py"):
        assert needed in entering
    assert not {"runs", "tests", ".git", "deploy"} & set(entering)


# --- the lock -----------------------------------------------------------------------------------------------


def pins(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition("==")
        found.setdefault(name, set()).add(rest.split(" ")[0])
    return found


def test_cluster_runs_the_project_s_versions() -> None:
    project, cluster = pins(ROOT / "requirements.lock"), pins(DEPLOY / "requirements.lock")
    common = project.keys() & cluster.keys()
    assert not {name for name in common if not cluster[name] <= project[name]}
    assert {"torch", "ray", "mlflow", "scikit-survival"} <= common
    assert {"boto3", "aiohttp-cors", "google-api-python-client", "flask-wtf", "psycopg"} <= cluster.keys()
    assert "pytest" not in cluster


# --- asking for machines ------------------------------------------------------------------------------------


def test_it_waits_until_the_gpus_are_there(gpus: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    joined, naps = iter([0, 2, 4]), []
    assert gpus.wait(4, 60, lambda: next(joined), clock=lambda: 0.0, sleep=naps.append) == 0
    assert capsys.readouterr().out.splitlines() == ["0 of 4 GPUs", "2 of 4 GPUs", "4 GPUs are here"]
    assert len(naps) == 2


def test_it_gives_up_in_time(gpus: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert gpus.wait(4, 60, lambda: 3, clock=lambda: now[0], sleep=sleep) == 1
    assert 60 < now[0] <= 60 + gpus.PERIOD
    assert "ray status" in capsys.readouterr().out


def test_none_wanted_is_there_at_once(gpus: ModuleType) -> None:
    assert gpus.wait(0, 60, lambda: 0) == 0
