import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bucket_server
import pytest

from grid.store import backends
from grid.store.backends import Backend, BucketBackend, FolderBackend, is_url
from medpt.errors import InputError


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with bucket_server.server() as made:
        yield made


@pytest.fixture(params=["folder", "bucket"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "folder":
        return FolderBackend(tmp_path)
    return BucketBackend(f"{request.getfixturevalue('url')}/{tmp_path.name}")


def test_of_all_who_create_a_name_one_succeeds(documents: Backend) -> None:
    contents = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda content: documents.create("done/a.json", content), contents))
    assert sum(won) == 1
    assert documents.read("done/a.json") == contents[won.index(True)]


def test_what_is_not_there_is_none(documents: Backend) -> None:
    assert documents.read("done/a.json") is None
    assert documents.names("done") == []
    documents.remove("done/a.json")


def test_names_are_those_of_one_folder(documents: Backend) -> None:
    for name in ("done/b.json", "done/a.json", "done/below/c.json", "done-not/d.json"):
        documents.write(name, b"1")
    found = [name for name in documents.names("done") if name != "done/below"]  # a folder lists its folders
    assert found == ["done/a.json", "done/b.json"]


def test_writing_replaces_and_removing_removes(documents: Backend) -> None:
    documents.write("a/b", b"1")
    documents.write("a/b", b"2")
    assert documents.read("a/b") == b"2"
    documents.remove("a/b")
    assert documents.create("a/b", b"3")


def test_folder_shows_no_half_written_name(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / ".tmp-abc").write_bytes(b"half")
    assert FolderBackend(tmp_path).names("done") == []


def test_large_files_go_up_in_parts_and_come_back(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grid.store.backends.LARGE", 2**20)
    content = bytes(range(256)) * 30_000
    (tmp_path / "large").write_bytes(content)
    bucket = BucketBackend(url)
    bucket.upload(tmp_path / "large", "units/large")
    bucket.copy("units/large", "units/copy")
    bucket.download("units/copy", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert bucket.sizes("units") == {"units/large": len(content), "units/copy": len(content)}


def test_failed_download_leaves_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BucketBackend(url).download("units/none", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_bucket_that_does_not_answer_is_an_infrastructure_fault(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.setitem(backends.RETRIES, "max_retries", 0)
    with pytest.raises(OSError, match=r"s3://.*Error"):
        BucketBackend(url).read("done/a.json")


@pytest.mark.parametrize("wrong", ["http://x/y", "s3://", "ftp://b/c", "s3:///x"])
def test_other_places_are_refused(wrong: str) -> None:
    with pytest.raises(InputError, match=r"a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX is accepted"):
        BucketBackend(wrong)


def test_folder_is_not_a_url() -> None:
    assert not is_url(Path("runs"))


def test_pipe_in_place_of_a_document_is_empty_and_no_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    assert FolderBackend(tmp_path).read("x.json") == b""


def test_folder_or_link_to_itself_in_place_of_a_document_is_empty_and_can_be_removed(tmp_path: Path) -> None:
    documents = FolderBackend(tmp_path)
    (tmp_path / "x.json").mkdir()
    (tmp_path / "x.json" / "of-a-user").touch()
    (tmp_path / "y.json").symlink_to("y.json")
    for name in ("x.json", "y.json"):
        assert documents.read(name) == b""
        documents.remove(name)
        assert documents.read(name) is None
    (kept,) = (tmp_path / "quarantine").iterdir()
    assert (kept / "of-a-user").exists()
