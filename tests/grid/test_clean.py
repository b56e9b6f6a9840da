"""What grid.run --clean lists and removes, and what it leaves: all that a plan or a run needs."""

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import made_space
import pytest
from bucket_server import server

from grid.clean import clean
from grid.options import RunOptions
from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.store.store import Store
from grid.store.verification import verify
from medpt import cli
from medpt.errors import InputError

SPACE = """
size: 32
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
"""
FILE = Path("made.yaml")


def changed(folder: Path, text: str = SPACE) -> Plan:
    """The plan of the space after a setting of its fine-tunings was changed; its data are the same."""
    return made_space.plan(folder, text + "finetune: {min_steps: 1, max_steps: 7}\n")


@pytest.fixture
def before(tmp_path: Path) -> Plan:
    return made_space.plan(tmp_path, SPACE)


@pytest.fixture
def after(before: Plan, tmp_path: Path) -> Plan:
    return changed(tmp_path)


@pytest.fixture
def store(before: Plan, after: Plan, tmp_path: Path) -> Store:
    """A store of a space that was run, changed and run again."""
    made = made_space.publish(before, tmp_path / "out", set(), {})
    record_start(made, after, FILE)
    for digest in after.units.keys() - before.units.keys():
        made_space.finish(made, after.units[digest])
    return made


def clean_up(plan: Plan, store: Store, **options: bool | Path) -> int:
    return clean(plan, store, RunOptions("made", store.out, clean=True, **options), cli.console())


def files_of(store: Store) -> set[Path]:
    return {path for path in store.root.rglob("*") if path.is_file() and "locks" not in path.parts}


def test_replaced_units_and_their_plan_are_listed_and_removed(
    store: Store, before: Plan, after: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    old = before.units.keys() - after.units.keys()
    arrays = store.cache / next(iter(old)) / "images.npy"
    arrays.parent.mkdir(parents=True)
    arrays.write_bytes(bytes(3 * 2**20))
    assert clean_up(after, store, yes=True) == 0
    printed = capsys.readouterr().out
    assert all(f"{digest[:12]}  finetune: {before.units[digest].label}" in printed for digest in old)
    assert "a plan of an earlier start" in printed
    assert not any(digest in str(path) for path in files_of(store) for digest in {*old, before.digest})
    assert not arrays.parent.exists()
    assert store.finished() == set(after.units)
    assert verify(store, after.units, thorough=True).damaged == {}
    assert clean_up(after, store, yes=True) == 0
    assert "by this one: nothing" in capsys.readouterr().out


def test_units_of_another_recorded_space_are_kept(store: Store, before: Plan, after: Plan) -> None:
    record_start(store, replace(before, space="other"), Path("other.yaml"))
    clean_up(after, store, yes=True)
    assert store.finished() == set(before.units) | set(after.units)


def test_units_of_the_named_space_are_kept_though_it_was_never_run(
    store: Store, before: Plan, after: Plan
) -> None:
    clean_up(replace(before, space="never run"), store, yes=True)
    assert store.finished() == set(before.units) | set(after.units)


def test_damaged_files_are_removed_and_the_unit_is_kept(store: Store, after: Plan) -> None:
    digest = next(iter(after.units))
    (store.root / "quarantine" / digest).mkdir(parents=True)
    (store.root / "quarantine" / digest / "best.safetensors").write_bytes(b"damaged")
    clean_up(after, store, yes=True)
    assert not (store.root / "quarantine" / digest).exists()
    assert store.is_finished(digest)
    assert verify(store, [digest], thorough=True).damaged == {}


def test_arrays_outside_the_store_are_removed_only_of_its_own_units(
    store: Store, before: Plan, after: Plan, tmp_path: Path
) -> None:
    old, of_others = next(iter(before.units.keys() - after.units.keys())), "a" * 64
    for digest in (old, of_others):
        (tmp_path / "arrays" / digest).mkdir(parents=True)
    clean_up(after, store, yes=True, cache=tmp_path / "arrays")
    assert [path.name for path in (tmp_path / "arrays").iterdir()] == [of_others]


def test_nothing_is_removed_without_an_answer(store: Store, after: Plan) -> None:
    kept = files_of(store)
    with pytest.raises(InputError, match="--yes"):
        clean_up(after, store)
    assert clean_up(after, store, dry_run=True) == 0
    assert files_of(store) == kept


@pytest.mark.parametrize(
    ("answer", "is_removed"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_answer_decides(
    answer: str, is_removed: bool, store: Store, before: Plan, after: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert clean_up(after, store) == 0
    assert (store.finished() == set(after.units)) == is_removed


def test_nothing_is_removed_while_a_run_uses_the_store(store: Store, after: Plan) -> None:
    kept = files_of(store)
    with store.documents.in_use(), pytest.raises(InputError, match="used by a run"):
        clean_up(after, store, yes=True)
    assert files_of(store) == kept


def test_nothing_is_removed_while_a_process_works_on_a_unit(store: Store, before: Plan, after: Plan) -> None:
    digest = next(iter(before.units.keys() - after.units.keys()))
    store.documents.remove(f"done/{digest}.json")
    at_work = Store(store.out, lease_seconds=0.5)
    lease = at_work.claim(digest)
    assert lease is not None
    with at_work.leases.held(lease), pytest.raises(InputError, match="a process runs unit"):
        clean_up(after, at_work, yes=True)
    assert store.folder(digest).is_dir()
    clean_up(after, at_work, yes=True)
    assert not store.folder(digest).exists()


def test_damaged_record_of_a_space_is_refused(store: Store, after: Plan) -> None:
    path = store.root / "spaces" / "made.json"
    path.write_bytes(path.read_bytes()[:20])
    kept = files_of(store)
    with pytest.raises(InputError, match=r"spaces/made.json is damaged"):
        clean_up(after, store, yes=True)
    assert files_of(store) == kept


@pytest.mark.parametrize(
    "arguments", [["--yes"], ["--clean", "--limit", "1"], ["--clean", "--filter", "seed=0"]]
)
def test_other_options_are_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "grid.run", "--space", "demo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--clean" in done.stderr


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("MEDPT_COPIES", str(tmp_path / "copies"))
    with server() as address:
        yield address


def test_bucket_and_its_copies_are_cleaned(bucket: str, before: Plan, after: Plan, tmp_path: Path) -> None:
    store = made_space.publish(before, bucket, set(), {})
    record_start(store, after, FILE)
    old = before.units.keys() - after.units.keys()
    clean_up(after, store, yes=True)
    assert store.finished() == before.units.keys() & after.units.keys()
    names = [*store.documents.sizes("units"), *map(str, files_of(store))]
    assert not any(digest in name for digest in old for name in names)
