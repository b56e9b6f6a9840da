"""What a laboratory publishes: nothing of others, no image, id, name of a file or path."""

import io
import zipfile
from pathlib import Path

import laboratories
import numpy as np
import pytest
from laboratories import Laboratory

from grid import publish as publish_command
from grid.argument_types import folder_or_url
from grid.registry.folder import Registry
from grid.registry.publish import publish
from grid.store.backends import BucketBackend
from medpt.errors import InputError


def test_what_was_pulled_is_not_published_again(
    first: Laboratory, second: Laboratory, registry: Registry, tmp_path: Path
) -> None:
    laboratories.take(second, registry, first)
    with pytest.raises(InputError, match="no finished unit of `made` that was computed there"):
        publish(second.plan, second.store, Registry(str(tmp_path / "other")), "Second")


def test_registry_has_no_image_id_name_or_path(first: Laboratory, registry: Registry, tmp_path: Path) -> None:
    """Canaries: names of files, ids of images and patients, paths, the host, and pixels of every image."""
    canaries = [laboratories.FILE, laboratories.PATIENT, laboratories.HOST, str(tmp_path), tmp_path.name]
    canaries += ["image-0", "patient-", "test-0", ".png", "parquet"]
    contents = {path: path.read_bytes() for path in Path(registry.place).rglob("*") if path.is_file()}
    assert len(contents) > len(first.plan.units)
    for path, content in contents.items():
        for found in (path.as_posix().removeprefix(registry.place).encode(), content, *unpacked(content)):
            assert [canary for canary in canaries if canary.encode() in found] == [], path
    prepared = first.digests("prepare")
    assert {name for digest in prepared for name in laboratories.shared(registry, digest).artifacts} == {
        "counts.json"
    }


def unpacked(content: bytes) -> list[bytes]:
    """Return the members of an archive of arrays; UCS-4 text is returned as UTF-8."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return []
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return [
            str(arrays[name].tolist()).encode() if arrays[name].dtype.kind == "U" else arrays[name].tobytes()
            for name in arrays.files
        ]


@pytest.mark.parametrize("publisher", ["First\n\x1b[31m", "x" * 1001])
def test_publisher_that_is_no_short_text_is_refused_before_anything_is_written(
    publisher: str, first: Laboratory, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"cannot publish `made`: its batch .*publisher"):
        publish(first.plan, first.store, Registry(str(tmp_path / "none")), publisher)
    assert not (tmp_path / "none").exists()


def test_place_that_cannot_be_written_is_refused(first: Laboratory, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="a folder or bucket that can be written is accepted"):
        publish(first.plan, first.store, Registry(str(file / "registry")), "First")


def test_what_is_there_under_the_name_of_a_file_is_not_taken_for_it(
    first: Laboratory, registry: Registry
) -> None:
    path = next((Path(registry.place) / "files").iterdir())
    path.write_bytes(b"other")
    with pytest.raises(InputError, match=f"{path} was altered; remove it"):
        publish(first.plan, first.store, registry, "First", with_weights=True)


@pytest.mark.parametrize(
    "place",
    [
        *("s3:/bucket/x", "s3//bucket/x", "S3://bucket/x", "s3:bucket", "s3://", "s3:///x", "s4://bucket/x"),
        *("http://host/x", "gs:/bucket", "file:/x", " s3:/b", "s3://a b/c", "s3://[::1/x", "s3://b:99999/x"),
        "s3://bucket/\u202e",
    ],
)
def test_misspelt_address_is_refused_and_makes_no_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for parse in (Registry, BucketBackend if "://" in place else folder_or_url):
        with pytest.raises(InputError, match=r"s3://BUCKET/PREFIX or gs://BUCKET/PREFIX is accepted"):
            parse(place)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "  ", "\x1b[31mLab", "x" * 201])
def test_publisher_without_a_printable_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        publish_command.main(["--space", "demo", "--to", "registry", "--publisher", name])
    assert "argument --publisher" in capsys.readouterr().err
