"""What SECURITY.md promises of the code: no code runs from data, and nothing listens beyond this machine.

The rules read the source, so that they also cover lines that no test executes.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from grid.plan import datasets
from grid.space import reader
from medpt.errors import InputError

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("grid", "medpt", "deploy") for path in (ROOT / folder).rglob("*.py"))
PICKLE_FORMATS = {
    "medpt/data/readers/cifar100.py",  # CIFAR-100 is a pickle; its unpickler makes numpy arrays only
    "medpt/phantom/cifar100.py",  # writes the same format
}
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
UNPICKLING = {"read_pickle", "loads_pickle"}
YAML = {"load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"}
LOADERS = {"Loader", "FullLoader", "UnsafeLoader", "CLoader", "CUnsafeLoader"}
ARCHIVES = {"extractall", "unpack_archive"}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}


def offences(text: str, pickler: bool = False) -> list[str]:
    """Return the lines of a module that could run code from data, write where an archive says, or listen to
    other machines.
    """
    nodes = list(ast.walk(ast.parse(text)))
    archives = ARCHIVES | (
        {"extract"} if {"tarfile", "zipfile"} & set().union(*map(_imported, nodes)) else set()
    )
    found = []
    for node in nodes:
        here = [*_offence(node, pickler), *(_call(node, archives) if isinstance(node, ast.Call) else ())]
        found += [f"{getattr(node, 'lineno', 0)}: {what}" for what in here]
    return found


def _imported(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return set()
    names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
    return {name.split(".")[0] for name in names}


def _offence(node: ast.AST, pickler: bool) -> Iterator[str]:
    if not pickler and PICKLES & _imported(node):
        yield "a module that unpickles"
    if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::"):  # noqa: S104
        yield "all interfaces"
    if isinstance(node, ast.Attribute) and node.attr in LOADERS and _name(node.value) == "yaml":
        yield "a YAML loader that creates objects"


def _call(node: ast.Call, archives: set[str]) -> Iterator[str]:
    owner, name = _called(node)
    given = {word.arg: word.value for word in node.keywords}
    if owner is None and name in BUILT_IN:
        yield f"{name}()"
    if (owner, name) in SHELLS or _is(given.get("shell"), True):
        yield "a shell"
    if owner == "yaml" and name in YAML:
        yield "unsafe YAML"
    if owner == "pickle" and name in ("load", "loads"):
        yield "an unrestricted unpickler"
    if name in UNPICKLING or _is(given.get("allow_pickle"), True):
        yield "pickled data"
    weights = (owner, name) == ("torch", "load") or name == "get_state_dict"
    if weights and not _is(given.get("weights_only"), True):
        yield "weights that may contain code"
    if name == "get_state_dict" and not _is(given.get("check_hash"), True):
        yield "a download without a checked hash"
    if name in archives:
        yield "an archive that chooses its own paths"


def _called(node: ast.Call) -> tuple[str | None, str]:
    if isinstance(node.func, ast.Attribute):
        return _name(node.func.value), node.func.attr
    return None, _name(node.func)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _is(node: ast.AST | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_line_runs_code_from_data(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert offences(path.read_text(), pickler=name in PICKLE_FORMATS) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import load",
        "import joblib.memory",
        "pickle.loads(b'')",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "weights.get_state_dict(check_hash=True)",
        "weights.get_state_dict(weights_only=True)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.compose(text, Loader=yaml.FullLoader)",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "archive.extractall(folder)",
        "import tarfile; archive.extract(member, folder)",
        "shutil.unpack_archive(path, folder)",
        "serve(host='0.0.0.0')",
    ],
)
def test_rules_find_an_unsafe_line(line: str) -> None:
    assert len(offences(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=True)",
        "weights.get_state_dict(check_hash=True, weights_only=True)",
        "yaml.safe_load(text)",
        "yaml.compose(text, Loader=yaml.SafeLoader)",
        "ast.literal_eval(text)",
        "model.eval()",
        "re.compile(pattern)",
        "archive.extractfile(member)",
        "np.load(path, allow_pickle=False)",
        "subprocess.run([program, argument])",
        "json.load(file)",
    ],
)
def test_rules_accept_the_safe_alternatives(line: str) -> None:
    assert offences(line) == []


def test_cifar100_is_read_by_a_restricted_unpickler() -> None:
    for name in PICKLE_FORMATS:
        calls = [
            node for node in ast.walk(ast.parse((ROOT / name).read_text())) if isinstance(node, ast.Call)
        ]
        used = {called for owner, called in map(_called, calls) if owner == "pickle"}
        assert used <= {"dump", "dumps", "UnpicklingError"}
    assert "class _Restricted(pickle.Unpickler)" in (ROOT / "medpt/data/readers/cifar100.py").read_text()


@pytest.mark.parametrize("folder", ["../elsewhere", "x/../../elsewhere", "ABSOLUTE"])
def test_space_reads_only_below_the_data_folder(folder: str, tmp_path: Path) -> None:
    """A space file of somebody else may name folders below --data; links in --data are the user's own."""
    (tmp_path / "data" / "inside").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    text = """
title: a test
controls: false
experiments: [{initialization: [random], backbone: [resnet18], target: [DRIVE], seed: [0]}]
datasets: {DRIVE: {folder: FOLDER}}
"""

    def found(name: str) -> datasets.SpaceDatasets:
        (tmp_path / "small.yaml").write_text(text.replace("FOLDER", name))
        loaded = reader.load(str(tmp_path / "small.yaml"))
        return datasets.find(loaded, tmp_path / "data", tmp_path / "out", write=False)

    outside = folder.replace("ABSOLUTE", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match="a folder below --data is accepted"):
        found(outside)
    for name in ("inside", "linked"):
        assert found(name).folders == {"DRIVE": tmp_path / "data" / name}


LISTENING = """
import json, os, psutil
from grid.cluster.ray_session import ray_session
with ray_session(None, 1):
    import ray
    ray.get(ray.remote(num_cpus=0)(lambda: 1).remote())
    ray.data.range(4).map(lambda row: row, num_cpus=0).materialize()
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [(process.name(), one) for process in processes for one in process.net_connections("inet")]
    listening = [(name, one.laddr.ip) for name, one in sockets if one.status == psutil.CONN_LISTEN]
    node = ray.nodes()[0]["NodeManagerAddress"]
    print(json.dumps([len(processes), listening, node, os.environ["RAY_AUTH_MODE"]]))
"""


def test_local_run_listens_on_loopback_alone() -> None:
    """All that Ray starts for a run on this machine: head, node, agents, workers, Ray Data's actors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", LISTENING],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    processes, listening, node, mode = json.loads(done.stdout.splitlines()[-1])
    assert mode == "token"
    assert processes >= 8
    assert {name for name, _ in listening} >= {"gcs_server", "raylet", "ray::RuntimeEnvAgent"}
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}
    assert node == "127.0.0.1"


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_lock_has_the_known_security_fixes(lock: str) -> None:
    table = (ROOT / "SECURITY.md").read_text().partition("| package | fixed in |")[2]
    fixes = re.findall(r"^\| ([a-z]+) \| ([\d.]+) \|", table, re.MULTILINE)
    locked = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / lock).read_text(), re.MULTILINE))
    assert len(fixes) >= 6
    old = [(name, locked[name]) for name, fixed in fixes if Version(locked[name]) < Version(fixed)]
    assert old == []
