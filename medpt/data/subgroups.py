"""The subgroup of each test item of prepared data: the value of a column, such as the sex of a patient."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from medpt.data import splits
from medpt.data.card import IMAGE_FOLDER
from medpt.data.dataset import Dataset, Record
from medpt.data.readers.folder_table import is_missing
from medpt.data.tables import header, table_rows
from medpt.errors import InputError, did_you_mean
from medpt.specs import Prepare

MOST_GROUPS = 12
UNKNOWN = "unknown"  # the group of items without a value
SEVERAL = "several values"  # of a patient whose images differ


def groups_of_test_items(dataset: Dataset, spec: Prepare, column: str) -> list[str]:
    """Return the group of each test item, in the order of a fine-tuning's items.

    Items are images sorted by id, or patients sorted by name where the card evaluates by patient. Raises
    InputError for a column that is missing or has more than MOST_GROUPS values.
    """
    values = dict(zip((record.id for record in dataset), _values(dataset, column), strict=True))
    records = sorted(dataset, key=lambda record: record.id)
    parts = splits.assign(records, spec.split, spec.split_seed)
    tested = [record for record, part in zip(records, parts, strict=True) if part == "test"]
    if dataset.info.evaluate_by == "patient":
        found = [_shared({values[r.id] for r in own}) for own in _by_patient(tested)]
    else:
        found = [values[record.id] for record in tested]
    if len(known := sorted(set(found))) > MOST_GROUPS:
        shown = f"{len(known)} values, such as {', '.join(known[:3])}"
        raise InputError(
            f"{dataset.info.name}: subgroup: the column `{column}` has {shown}; at most {MOST_GROUPS} are "
            "accepted: make a column of groups, such as ranges of age"
        )
    return found


def _values(dataset: Dataset, column: str) -> list[str]:
    """Return the value of each record: from the user's table, or what a built-in reader knows of it."""
    card = dataset.info
    if card.reader != IMAGE_FOLDER:
        return [_text(record.meta.get(column)) for record in _having(dataset, column)]
    table = dataset.root / card.labels if card.labels else None
    known = header(table) if table else []
    if table is None or column not in known:
        where = f"{table} has no such column" if table else "the card names no table under `labels`"
        raise InputError(f"{card.name}: subgroup: `{column}`: {where}; {did_you_mean(column, known)}")
    cells = [_text(cell) for _, (cell,) in table_rows(table, (column,), [])]
    images = [len(list(own)) for _, own in groupby(dataset, key=lambda record: record.image_path)]
    if len(cells) != len(images):  # a volume without a labelled slice has no record
        text = f"{table} has {len(cells)} rows for {len(images)} images that are used; remove the others"
        raise InputError(f"{card.name}: subgroup: {text}")
    return [cell for cell, count in zip(cells, images, strict=True) for _ in range(count)]


def _having(dataset: Dataset, column: str) -> Sequence[Record]:
    known = sorted({name for record in dataset for name in record.meta})
    if column not in known:
        accepted = did_you_mean(column, known) if known else "its reader knows no columns"
        raise InputError(f"{dataset.info.name}: subgroup: no column `{column}`; {accepted}")
    return dataset.records


def _text(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return UNKNOWN if is_missing(text) else text


def _by_patient(records: Sequence[Record]) -> Iterator[list[Record]]:
    ordered = sorted(records, key=lambda record: record.group_id)
    yield from (list(own) for _, own in groupby(ordered, key=lambda record: record.group_id))


def _shared(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else SEVERAL
