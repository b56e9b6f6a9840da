"""Preprocessed images as Parquet shards: what is in them, which rows go where, and how they are written.

A folder holds shard-00000.parquet, ... with rows sorted by id over all of them, beside each shard a JSON file
that says that it is finished, and manifest.json, written last: without it the data are not prepared. Equal
input gives equal bytes under one version of pyarrow. A killed preparation resumes at its unfinished shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medpt.data import image_hash, splits
from medpt.data.dataset import IGNORE
from medpt.data.file_facts import describe_file
from medpt.data.label_counts import judge, unfit_labels, unfit_patients
from medpt.data.manifest import (
    FILE,
    FORMAT,
    OUTSIDE,
    Index,
    Manifest,
    ShardInfo,
    damage,
    read_facts,
    shard_info,
)
from medpt.errors import InputError
from medpt.files import TEMPORARY, read_json, remove, replacing, sha256, write_json
from medpt.identity import canonical_json
from medpt.specs import Prepare

if TYPE_CHECKING:
    import pyarrow as pa

    from medpt.data.card import DatasetCard
    from medpt.data.dataset import Dataset, Record

ROWS = 192  # a shard: 38 MB of images at 256 x 256, 50 MB with masks, before compression
NAMES = ("exact", "near")
ZSTD_LEVEL = 3  # grey images (three equal channels) shrink to 0.41 of raw, 0.84 at level 1; colour 0.80, 0.86


@dataclass(frozen=True)
class Row:
    """One image to prepare and the part it belongs to."""

    record: Record
    split: str


Locate = Callable[[np.ndarray, Row], tuple[float, float]]


def schema(size: int, cut: bool = False, several: bool = False) -> pa.Schema:
    """Columns of a shard: image raw uint8 (S, S, 3) RGB, mask raw uint8 (S, S) or null, label -1: none.

    `exact` and `near` are the hashes of the decoded image (medpt.data.image_hash). With `cut` there is also
    `outside`, what the mask holds beside the square that roi cut: pixels per class, in prepared pixels. With
    `several` an image has a label for each class, 1, 0 or nan. `file` are medpt.data.file_facts.FILE_FACTS.
    """
    import pyarrow as pa

    columns = {"id": pa.string(), "split": pa.string(), "group": pa.string()}
    columns["label"] = pa.list_(pa.float32()) if several else pa.int64()
    columns[FILE] = pa.list_(pa.float64())
    pixels = {"image": pa.binary(size * size * 3), "mask": pa.binary(size * size)}
    names = {name: pa.binary(image_hash.BYTES) for name in NAMES}
    counts = {"pixels": pa.list_(pa.int64())} | ({OUTSIDE: pa.list_(pa.float64())} if cut else {})
    return pa.schema({**columns, **names, **pixels, **counts})


def plan(
    dataset: Dataset, policy: str, split_seed: int, sample_size: int | None, at_most: int | None = None
) -> list[Row]:
    """All rows to prepare, sorted by id; of the training set the subset of `sample_size`, or all.

    `at_most` is a sample size that a smaller set need not reach.

    Raises InputError for labels that are no class and for splits and sizes that cannot be had.
    """
    records = sorted(dataset, key=lambda record: record.id)
    if wrong := [*unfit_labels(dataset.info, records), *unfit_patients(dataset.info, records)]:
        raise InputError(wrong)
    parts = np.array(splits.assign(records, policy, split_seed))
    kept = np.flatnonzero(parts == "test")
    training = np.flatnonzero(parts == "train")
    if at_most is not None and len(training) > at_most:
        sample_size = at_most
    if sample_size is not None:
        if sample_size < 2:
            raise InputError(f"sample_size {sample_size}: accepted: a number of images, from 2")
        training = training[_sampled([records[row] for row in training], sample_size, split_seed)]
    return [Row(records[row], str(parts[row])) for row in np.sort(np.concatenate([kept, training]))]


def _sampled(records: Sequence[Record], size: int, seed: int) -> np.ndarray:
    labels = [record.label for record in records if record.label is not None]
    groups = [record.group_id for record in records]
    return splits.subset(splits.strata(np.array(labels)) if labels else None, groups, size, seed)


def chunks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """The rows of shard 0, 1, ...: ROWS each, the last one the rest."""
    return [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.parquet"


def finished(folder: Path, number: int, rows: Sequence[Row], pipeline: str) -> ShardInfo | None:
    """The shard's info where it is there, whole, and made from these rows and this pipeline; else None."""
    path = shard_path(folder, number)
    try:
        info = shard_info(read_json(path.with_suffix(".json")))
    except (OSError, ValueError, TypeError):
        return None
    return info if info.plan == _plan_digest(rows, pipeline) and not damage(folder, info) else None


def write(
    dataset: Dataset, rows: Sequence[Row], pipeline: str, path: Path, locate: Locate | None = None
) -> ShardInfo:
    """Reads, preprocesses and writes one shard at `path`, then its JSON file; both appear whole.

    `locate` says around which point of a decoded image a pipeline with roi cuts. Images that cannot be read
    become `problems` of the shard and no rows. Raises InputError where no image can be read, and for a
    pipeline that is wrong or crops after its resize.
    """
    from medpt.data.preprocess import output_size

    size = output_size(pipeline)
    columns, problems = _read(dataset, rows, pipeline, locate)
    if not columns["row"]:
        raise InputError(problems)
    for shape in {image.shape for image in columns["image"]} - {(size, size, 3)}:
        raise InputError(f"pipeline {pipeline!r} gives images of {shape}; accepted: {(size, size, 3)}")
    table = _table(columns, schema(size, locate is not None, dataset.info.task == "multilabel"))
    with replacing(path) as temporary:
        _write_parquet(table, temporary)
    info = ShardInfo(
        path.name,
        table.num_rows,
        path.stat().st_size,
        sha256(path),
        _plan_digest(rows, pipeline),
        tuple(problems),
    )
    write_json(path.with_suffix(".json"), asdict(info))
    return info


def _read(
    dataset: Dataset, rows: Sequence[Row], pipeline: str, locate: Locate | None
) -> tuple[dict[str, list[Any]], list[str]]:
    columns: dict[str, list[Any]] = {
        name: [] for name in ("row", FILE, *NAMES, "image", "mask", "pixels", OUTSIDE)
    }
    problems = []
    for row in rows:
        try:
            values = (row, *_pixels(dataset, row, pipeline, locate))
        except (InputError, OSError) as error:
            problem = str(error).removeprefix(f"{dataset.root / row.record.image_path}: ")
            problems.append(f"{row.record.id}: {problem}")
            continue
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns, problems


def _pixels(
    dataset: Dataset, row: Row, pipeline: str, locate: Locate | None
) -> tuple[
    tuple[float, ...], bytes, bytes, np.ndarray, np.ndarray | None, list[int] | None, list[float] | None
]:
    from medpt.data.preprocess import preprocess_pair

    segments = dataset.info.task == "segmentation"
    whole = dataset.mask(row.record) if segments else None
    decoded = dataset.image(row.record)
    file = describe_file(dataset.root / row.record.image_path, decoded.shape)
    names = image_hash.exact_hash(decoded), image_hash.perceptual_hash(decoded)
    centre = locate(decoded, row) if locate else None
    image, mask = preprocess_pair(decoded, whole, pipeline, centre)
    if mask is None or whole is None:
        return file, *names, image, None, None, None
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    known = len(dataset.info.classes)
    foreign = [int(value) for value in np.flatnonzero(counts[:IGNORE]) if value >= known]
    if foreign:
        raise InputError(f"mask has the values {foreign}; accepted: 0 to {known - 1}, and {IGNORE} to ignore")
    beside = _outside(whole, pipeline, centre, known) if centre else None
    return file, *names, image, mask, counts[:known].tolist(), beside


def _outside(whole: np.ndarray, pipeline: str, centre: tuple[float, float], known: int) -> list[float]:
    """Pixels per class that the square leaves out, its padding taken off, as pixels of the prepared image."""
    from medpt.data.crops import crop_square
    from medpt.data.preprocess import output_size, roi_side

    side = roi_side(pipeline) or 0
    inside = crop_square(whole, None, side, centre)[0]
    left_out = np.bincount(whole.ravel(), minlength=known) - np.bincount(inside.ravel(), minlength=known)
    return (left_out[:known] * (output_size(pipeline) / side) ** 2).tolist()


def _table(columns: dict[str, list[Any]], kinds: pa.Schema) -> pa.Table:
    import pyarrow as pa

    records = [row.record for row in columns["row"]]
    return pa.table(
        {
            "id": [record.id for record in records],
            "split": [row.split for row in columns["row"]],
            "group": [record.group_id for record in records],
            "label": [-1 if record.label is None else record.label for record in records],
            FILE: columns[FILE],
            **{name: columns[name] for name in NAMES},
            "image": [image.tobytes() for image in columns["image"]],
            "mask": [None if mask is None else mask.tobytes() for mask in columns["mask"]],
            "pixels": columns["pixels"],
            **({OUTSIDE: columns[OUTSIDE]} if OUTSIDE in kinds.names else {}),
        },
        schema=kinds,
    )


def _write_parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    facts = [name for name in table.column_names if name not in (*NAMES, "image", "mask")]
    parquet.write_table(
        table,
        path,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=["split"],  # pixels do not repeat, and a dictionary would hold them all in memory
        write_statistics=facts,  # the least and the greatest image say nothing
        row_group_size=ROWS,
    )


def _plan_digest(rows: Sequence[Row], pipeline: str) -> str:
    facts = [[row.record.id, row.split, row.record.group_id, row.record.known_label] for row in rows]
    return _digest([FORMAT, FILE, pipeline, facts])


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_manifest(
    folder: Path, info: DatasetCard, prepare: Prepare, shards: Sequence[ShardInfo]
) -> Manifest:
    """Writes manifest.json over finished shards, given in their order: from now on the data are prepared.

    What killed writers left in the folder is removed. Raises InputError for a training set that nothing can
    be learnt from (medpt.data.label_counts), but not for a sample.
    """
    from medpt.data.preprocess import output_size

    facts = (info.name, info.task, info.modality, tuple(info.classes), output_size(prepare.pipeline))
    index = Index(*facts, *read_facts(folder, shards, cut=prepare.detector is not None))
    parts: list[str] = np.unique(index.splits).tolist()
    manifest = Manifest(
        *facts,
        prepare=prepare,
        images={part: len(index.rows(part)) for part in parts},
        counts={part: _counts(index, index.rows(part)) for part in parts},
        split_sha256=_digest(np.stack([index.ids, index.splits], axis=1).tolist()),
        shared_groups=len(splits.shared_groups(index.groups.tolist(), index.splits.tolist())),
        problems=tuple(problem for shard in shards for problem in shard.problems),
        shards=tuple(shards),
    )
    is_complete = prepare.sample_size is None and prepare.at_most is None
    if is_complete and (wrong := judge(info, manifest.counts).problems):
        raise InputError(wrong)
    for abandoned in folder.glob(f"{TEMPORARY}*"):
        remove(abandoned)
    manifest.write(folder)
    return manifest


def _counts(index: Index, rows: np.ndarray) -> dict[str, int]:
    if index.task == "multilabel":
        numbers = np.count_nonzero(index.labels[rows] == 1, axis=0)
    elif index.pixels is None:
        numbers = np.bincount(index.labels[rows], minlength=len(index.classes))
    else:
        numbers = index.pixels[rows].sum(axis=0)
    return dict(zip(index.classes, numbers.tolist(), strict=True))
