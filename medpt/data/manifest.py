"""What a folder of shards holds: the manifest, the index of its rows, and whether all of it is whole.

`verify` sees missing, truncated and altered shards and wrong counts. It cannot see that the publisher's
images changed after they were prepared; the fingerprint in the manifest is for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpt.errors import InputError
from medpt.files import read_json, sha256, write_json
from medpt.specs import Prepare

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = 2  # of the folder; raise it when a reader of the old one would go wrong
MANIFEST = "manifest.json"
COUNTS = "counts.json"  # the same without names of files, for other laboratories
NAMELESS = ("dataset", "task", "modality", "classes", "size", "images", "counts", "shared_groups")
OUTSIDE = "outside"  # a column of what was cut around a point
FILE = "file"  # a column of medpt.data.file_facts, which shards of version 0.3.1 lack
FACTS = ("id", "split", "group", "label", "pixels")  # the columns that are cheap to read


@dataclass(frozen=True)
class ShardInfo:
    """One finished shard; `problems` are the images excluded because they could not be read."""

    name: str
    rows: int
    nbytes: int
    sha256: str
    plan: str  # digest of the rows and the pipeline that it was made from
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds and what it was made from; round-trips through manifest.json.

    images[split] counts images; counts[split][class] images (classification, multilabel) or pixels
    (segmentation).
    `split_sha256` is of the canonical JSON of [[id, split], ...]; `shared_groups` counts those in both parts.
    """

    dataset: str
    task: str
    modality: str
    classes: tuple[str, ...]
    size: int  # S of images (S, S, 3)
    prepare: Prepare
    images: dict[str, int]
    counts: dict[str, dict[str, int]]
    split_sha256: str
    shared_groups: int
    problems: tuple[str, ...]
    shards: tuple[ShardInfo, ...]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, asdict(self))

    def numbers(self) -> dict[str, Any]:
        """Return what the manifest says without names of files: the content of counts.json."""
        return {name: getattr(self, name) for name in NAMELESS}

    @classmethod
    def read_numbers(cls, folder: Path, prepare: Prepare) -> Manifest:
        """Return the manifest, without shards, of a folder that has no images but counts.json.

        Raises InputError where there is none.
        """
        try:
            value = read_json(folder / COUNTS)
            value["classes"] = tuple(value["classes"])
            return cls(**value, prepare=prepare, split_sha256="", problems=(), shards=())
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / COUNTS}: has no counts of images ({error})") from None

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Raises InputError where manifest.json is absent, is no manifest or is of another format."""
        path = folder / MANIFEST
        try:
            value = read_json(path)
            if value["format"] != FORMAT:
                raise InputError(
                    f"{path}: format {value['format']}; accepted: {FORMAT}; prepare the data again"
                )
            return _manifest(value)
        except FileNotFoundError:
            raise InputError(f"{path}: there is none, so {folder} holds no prepared data") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is no manifest ({error}); prepare the data again") from None


@dataclass(frozen=True)
class Index:
    """What is known of each prepared image but its pixels; rows sorted by id.

    ids, splits ("train" | "test") and groups are str (N,); labels int64 (N,), -1 for
    segmentation, and float32 (N, K) of 1, 0 and nan (unknown) for multilabel; pixels are
    int64 (N, K), pixels per class without those to ignore, or None for classification. `outside` float (N, K)
    are the pixels per class of the whole photograph that a cut around a point left out, where there was one.
    `files` float (N, 4) are medpt.data.file_facts.FILE_FACTS, None in data that version 0.3.1 prepared.
    """

    dataset: str
    task: str
    modality: str
    classes: tuple[str, ...]
    size: int  # S of images (S, S, 3)
    ids: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    labels: np.ndarray
    pixels: np.ndarray | None
    outside: np.ndarray | None = None
    files: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, split: str) -> np.ndarray:
        """The rows of one part, ascending."""
        return np.flatnonzero(self.splits == split)


def verify(folder: Path) -> Manifest:
    """Reads all of a prepared folder. Raises InputError with every shard that is not as the manifest says."""
    manifest = Manifest.read(folder)
    found = [(shard.name, damage(folder, shard) or _miscount(folder, shard)) for shard in manifest.shards]
    problems = [f"{folder / name}: {what}; prepare the data again" for name, what in found if what]
    counted = sum(manifest.images.values())
    if counted != manifest.rows:
        problems.append(f"{folder / MANIFEST}: counts {counted} images, its shards {manifest.rows} rows")
    if problems:
        raise InputError(problems)
    return manifest


def damage(folder: Path, shard: ShardInfo) -> str | None:
    """What is wrong with the bytes of a shard, or None."""
    path = folder / shard.name
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != shard.nbytes:
        return f"has {path.stat().st_size} bytes instead of {shard.nbytes}"
    return None if sha256(path) == shard.sha256 else "was altered (its sha256 differs)"


def _miscount(folder: Path, shard: ShardInfo) -> str | None:
    from pyarrow import parquet

    rows = parquet.read_metadata(folder / shard.name).num_rows
    return None if rows == shard.rows else f"has {rows} rows instead of {shard.rows}"


def read_index(folder: Path) -> Index:
    """The index of a prepared folder, from the cheap columns alone. Raises InputError for damaged shards."""
    manifest = Manifest.read(folder)
    told = (manifest.dataset, manifest.task, manifest.modality, manifest.classes, manifest.size)
    return Index(*told, *read_facts(folder, manifest.shards, cut=manifest.prepare.detector is not None))


def read_facts(
    folder: Path, shards: Sequence[ShardInfo], cut: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, *tuple[np.ndarray | None, ...]]:
    """Return ids, splits, groups, labels, pixels, outside and files of Index, of all shards in order."""
    having = all(_has_column(folder, shard, FILE) for shard in shards)
    further = [name for name, wanted in ((OUTSIDE, cut), (FILE, having)) if wanted]
    table = read_columns(folder, shards, (*FACTS, *further))
    ids, splits, groups = (np.array(table[name].to_pylist(), dtype=str) for name in FACTS[:3])
    outside = _numbers(table[OUTSIDE], np.float64) if cut else None
    labels = _labels(table["label"])
    files = _numbers(table[FILE], np.float64) if having else None
    return ids, splits, groups, labels, _numbers(table["pixels"], np.int64), outside, files


def read_columns(folder: Path, shards: Sequence[ShardInfo], names: Sequence[str]) -> pa.Table:
    """Columns of all rows of the shards in their order. Raises InputError for damaged shards."""
    import pyarrow as pa

    return pa.concat_tables(_columns(folder, shard, names) for shard in shards)


def _has_column(folder: Path, shard: ShardInfo, name: str) -> bool:
    """Whether a shard has a column; a damaged one, which `read_columns` reports, counts as having it."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return name in parquet.read_schema(folder / shard.name).names
    except (OSError, pa.ArrowException):
        return True


def _columns(folder: Path, shard: ShardInfo, names: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / shard.name
    try:
        table = parquet.read_table(path, columns=list(names))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); prepare the data again") from None
    if table.num_rows != shard.rows:
        raise InputError(f"{path}: has {table.num_rows} rows instead of {shard.rows}; prepare the data again")
    return table


def _numbers(column: pa.ChunkedArray, kind: type[np.number]) -> np.ndarray | None:
    if column.null_count:
        return None
    return np.array(column.to_pylist(), dtype=kind)


def _labels(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    several = pa.types.is_list(column.type)
    return np.array(column.to_pylist(), dtype=np.float32) if several else column.to_numpy()


def _manifest(value: dict[str, Any]) -> Manifest:
    shards = tuple(shard_info(shard) for shard in value["shards"])
    lists = {name: tuple(value[name]) for name in ("classes", "problems")}
    return Manifest(**{**value, **lists, "prepare": Prepare(**value["prepare"]), "shards": shards})


def shard_info(value: dict[str, Any]) -> ShardInfo:
    return ShardInfo(**{**value, "problems": tuple(value["problems"])})
