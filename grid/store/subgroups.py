"""Which subgroup each test item of prepared data belongs to, as documents of a store.

They belong to no unit: naming a column never repeats a fine-tuning. They have no ids.
"""

import hashlib
from collections.abc import Mapping, Sequence

from grid.store.records import CHECKSUM
from grid.store.store import Store
from medpt import files

FOLDER, COLUMNS = "subgroups", "columns"


def write_groups(store: Store, data: str, column: str, groups: Sequence[str]) -> None:
    """Write the group of each test item of prepared data, beside those of other columns."""
    columns = dict(_read(store, data)) | {column: list(groups)}
    content = {COLUMNS: columns, CHECKSUM: _checksum(columns)}
    store.documents.write(_name(data), files.json_bytes(content))


def read_groups(store: Store, data: str, column: str) -> Sequence[str]:
    """Return what `write_groups` wrote; nothing where no run has written it, or where it is damaged."""
    return _read(store, data).get(column, [])


def _read(store: Store, data: str) -> Mapping[str, Sequence[str]]:
    """Return the groups by column; none of a damaged document, which the next run writes again."""
    try:
        values = files.parse_json(store.documents.read(_name(data)) or b"{}")
        columns: Mapping[str, Sequence[str]] = values[COLUMNS]
        return columns if values[CHECKSUM] == _checksum(columns) else {}
    except (ValueError, TypeError, KeyError, IsADirectoryError):
        return {}


def _checksum(columns: object) -> str:
    return hashlib.sha256(files.json_bytes(columns)).hexdigest()


def _name(data: str) -> str:
    return f"{FOLDER}/{data}.json"
