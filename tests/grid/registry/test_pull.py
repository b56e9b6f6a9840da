"""Two laboratories: what one publishes, the other takes over, unless something of it was altered."""

import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import bucket_server
import laboratories
import pytest
from laboratories import Laboratory, forge, path_of

from grid import pull as pull_command
from grid import report
from grid import space_run as command
from grid.options import RunOptions
from grid.registry import artifacts, records
from grid.registry.folder import Registry
from grid.registry.publish import publish
from grid.registry.pull import offers, refused_batches
from grid.registry.records import file_name
from grid.results.frame import trials_frame
from grid.space import reader
from medpt import cli
from medpt.errors import InputError


def todo(lab: Laboratory) -> list[str]:
    """Return what grid.run would run."""
    options = RunOptions("made", lab.store.out)
    space = reader.load(str(lab.store.root.parent / "made.yaml"))
    return command.units_to_run(command.Run(options, space, lab.plan, lab.store, cli.console()))


def test_second_laboratory_recomputes_nothing(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    pulled = laboratories.take(second, registry, first)
    assert set(pulled.staged) == set(second.plan.units)
    assert todo(second) == []
    ours, theirs = (trials_frame(lab.plan, None, lab.store) for lab in (second, first))
    columns = ["origin", "items"]
    assert ours.drop(columns=columns).equals(theirs.drop(columns=columns))
    for one, other in zip(ours["items"], theirs["items"], strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


def test_pulled_results_are_marked(first: Laboratory, second: Laboratory, registry: Registry) -> None:
    drawn = first.digests("finetune")[:3]
    laboratories.take(second, registry, first, lambda units: [u for u in units if u.digest in drawn])
    frame = trials_frame(second.plan, None, second.store)
    assert set(frame["origin"]) == {"First"}
    trials = len(second.plan.trials)
    expected = f"{trials} of {trials} results pulled: computed by First, 3 of them here too"
    assert expected in frame.attrs["warnings"]
    assert set(trials_frame(first.plan, None, first.store)["origin"]) == {""}


def test_recomputed_inputs_that_nobody_published_do_not_count_as_compared(
    first: Laboratory, second: Laboratory, tmp_path: Path
) -> None:
    """A laboratory publishes nothing that it pulled. Whoever verifies its results computes those inputs."""
    pretrained = set(first.digests("pretrain"))
    for digest in pretrained:
        first.store.invalidate(digest)
    registry = Registry(str(tmp_path / "partial"))
    publish(first.plan, first.store, registry, "First")
    laboratories.compute(third := laboratories.laboratory(tmp_path / "third"))
    everything = list(second.plan.units.values())
    pulled = laboratories.take(second, Registry(registry.place), third, lambda units: everything)
    assert set(pulled.compared) == set(second.plan.units) - pretrained


def test_bucket_is_not_pulled_into_by_a_cluster(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [
        "--from",
        str(tmp_path),
        "--space",
        "demo",
        "--out",
        "s3://bucket/runs",
        "--address",
        "10.0.0.1:1",
    ]
    assert pull_command.main(words) == 2
    assert "leave out --address" in capsys.readouterr().err


def test_report_of_pulled_results_is_written_without_images(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    """The tables are those of the first laboratory, and the second has prepared nothing."""
    laboratories.take(second, registry, first, lambda units: [])
    tables = []
    for lab in (first, second):
        page = report.build("made", lab.store.out, None)
        tables.append((page.parent / "table.csv").read_text())
    assert tables[0] == tables[1]
    assert "results pulled: computed by First" in page.read_text()


def edit_score(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("finetune")[0]
    path = laboratories.document(registry, digest)
    unit = json.loads(path.read_text())
    unit["metrics"]["auc"] = 0.99
    path.write_text(json.dumps(unit))
    return path, lab.plan.units[digest].label


def edit_marker(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("pretrain")[0]
    path = laboratories.document(registry, digest)
    path.write_bytes(path.read_bytes().replace(b"12.5", b"13.5"))
    return path, lab.plan.units[digest].label


def edit_weight(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("pretrain")[0]
    path = path_of(registry, file_name(laboratories.shared(registry, digest).artifacts["best.safetensors"]))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return path, lab.plan.units[digest].label


def edit_items(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("finetune")[0]
    path = path_of(registry, file_name(laboratories.shared(registry, digest).artifacts["items.npz"]))
    path.write_bytes(path.read_bytes()[:-1])
    return path, lab.plan.units[digest].label


def edit_batch(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    path = next((Path(registry.place) / "batches").iterdir())
    path.write_bytes(path.read_bytes().replace(b"First", b"Other"))
    return path, ""


def link_file(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("finetune")[0]
    path = path_of(registry, file_name(laboratories.shared(registry, digest).artifacts["items.npz"]))
    os.rename(path, path.parents[1] / "elsewhere")
    path.symlink_to(path.parents[1] / "elsewhere")
    return path, lab.plan.units[digest].label


def pipe_for_file(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    path, label = remove_file(registry, lab)
    os.mkfifo(path)
    return path, label


def socket_for_batch(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    folder = Path(registry.place) / "batches"
    path = next(folder.iterdir())
    path.unlink()
    short = Path(tempfile.mkdtemp()) / "link"  # a socket's path is short
    short.symlink_to(folder)
    socket.socket(socket.AF_UNIX).bind(str(short / "s"))
    (folder / "s").rename(path)
    return path, ""


def huge_document(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("finetune")[0]
    path = laboratories.document(registry, digest)
    os.truncate(path, records.LARGEST + 1)
    return path, lab.plan.units[digest].label


def remove_file(registry: Registry, lab: Laboratory) -> tuple[Path, str]:
    digest = lab.digests("finetune")[0]
    path = path_of(registry, file_name(laboratories.shared(registry, digest).artifacts["items.npz"]))
    path.unlink()
    return path, lab.plan.units[digest].label


Edit = Callable[[Registry, Laboratory], tuple[Path, str]]


@pytest.mark.parametrize(
    "edit",
    [
        *(edit_score, edit_marker, edit_weight, edit_items, edit_batch),
        *(link_file, remove_file, pipe_for_file, socket_for_batch, huge_document),
    ],
)
def test_altered_registry_is_refused_by_name(
    edit: Edit, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    path, label = edit(registry, first)
    with pytest.raises(InputError) as refused:
        laboratories.take(second, registry, first)
    (line,) = refused.value.problems
    assert str(path) in line
    assert label in line
    assert second.store.finished() == set()


def test_everything_altered_is_named_in_one_pass(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    paths = [edit(registry, first)[0] for edit in (edit_score, edit_weight)]
    with pytest.raises(InputError) as refused:
        laboratories.take(second, registry, first)
    assert all(any(str(path) in line for line in refused.value.problems) for path in paths)


def test_result_that_differs_is_refused_with_both_numbers(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("pretrain")[0]
    batch = forge(registry, digest, metrics={**first.store.marker(digest).metrics, "images_seen": 9.0})
    with pytest.raises(InputError) as refused:
        laboratories.take(second, registry, first)
    label = first.plan.units[digest].label
    assert refused.value.problems == [
        f"{label}: images_seen: 9.0 was published, 640.0 was computed here",
        f"batch {batch[:12]} of Forger is in quarantine",
    ]
    assert second.store.finished() == set()
    assert refused_batches(second.store) == [batch]
    laboratories.take(second, registry, first)  # of the batch that is left
    assert second.store.marker(digest).metrics["images_seen"] == 640.0


def test_units_pulled_earlier_of_a_refused_batch_are_invalidated(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    forged, other = first.digests("pretrain")[0], first.digests("finetune")[0]
    forge(registry, forged, metrics={**first.store.marker(forged).metrics, "images_seen": 9.0})
    laboratories.take(second, registry, first, lambda units: [u for u in units if u.digest == other])
    second.store.invalidate(other)
    unit = {forged: second.store.marker(forged)}
    assert unit[forged].metrics["images_seen"] == 9.0
    second.store.invalidate(forged)
    with pytest.raises(InputError, match="units that were pulled earlier will be run here"):
        laboratories.take(second, registry, first)
    assert second.store.finished() == set()


def test_results_of_other_data_are_refused(first: Laboratory, registry: Registry, tmp_path: Path) -> None:
    """Names and sizes, and so the digests, are equal; a pixel is not."""
    third = laboratories.laboratory(tmp_path / "third", image=b"pixelz")
    with pytest.raises(InputError, match="First computed from other files") as refused:
        laboratories.take(third, registry, first)
    assert str(tmp_path / "third" / "data") in str(refused.value)
    assert third.store.finished() == set()


def test_stray_files_beside_batches_are_no_part_of_a_registry(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    folder = Path(registry.place) / "batches"
    (folder / ".DS_Store").write_text("of a desktop")
    (folder / "old").mkdir()
    (folder / "old" / "copy.json").write_text("{}")
    assert len(laboratories.take(second, Registry(registry.place), first).staged) == len(second.plan.units)


@pytest.mark.parametrize("content", [b"", b"{}", b"other"])
def test_damaged_batch_is_left_out_and_the_others_are_taken(
    content: bytes, first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    damaged = Path(registry.place) / "batches" / f"{'0' * 64}.json"
    damaged.write_bytes(content)
    offered, problems = offers(second.plan, second.found, second.store, Registry(registry.place))
    assert offered.keys() == second.plan.units.keys()
    assert problems == [f"{damaged} was altered: its SHA-256 is not 000000000000…"]
    assert len(laboratories.take(second, Registry(registry.place), first).staged) == len(second.plan.units)


def test_huge_files_are_refused_before_they_are_read(
    first: Laboratory, second: Laboratory, registry: Registry
) -> None:
    digest = first.digests("finetune")[0]
    path = path_of(registry, file_name(laboratories.shared(registry, digest).artifacts["items.npz"]))
    with path.open("r+b") as file:
        file.truncate(artifacts.LARGEST + 1)
    with pytest.raises(InputError, match="bytes; at most"):
        laboratories.take(second, registry, first)


def test_weights_that_were_not_published_are_trained_where_they_are_needed(
    first: Laboratory, second: Laboratory, tmp_path: Path
) -> None:
    place = str(tmp_path / "without")
    publish(first.plan, first.store, Registry(place), "First")
    laboratories.take(second, Registry(place), first, lambda units: [])
    assert todo(second) == []
    tuned = next(name for name in second.digests("finetune") if len(second.plan.units[name].needs) == 2)
    second.store.invalidate(tuned)
    expected = {tuned, *second.plan.units[tuned].needs}
    assert expected <= set(todo(second))


def test_registry_may_be_a_bucket(first: Laboratory, second: Laboratory) -> None:
    with bucket_server.server() as url:
        publish(first.plan, first.store, Registry(url), "First")
        pulled = laboratories.take(second, Registry(url), first, lambda units: [])
    assert set(pulled.staged) == set(second.plan.units)
