"""Which subgroup each test item of prepared data belongs to, as documents of a store.

They belong to no unit: naming a column never repeats a fine-tuning. They have no ids.
"""

from collections.abc import Sequence

from grid.store.store import Store
from medpt import files

FOLDER = "subgroups"


def write_groups(store: Store, data: str, column: str, groups: Sequence[str]) -> None:
    """Write the group of each test item of prepared data, beside those of other columns."""
    store.documents.write(_name(data), files.json_bytes(_read(store, data) | {column: list(groups)}))


def read_groups(store: Store, data: str, column: str) -> list[str]:
    """Return what `write_groups` wrote; nothing where no run has written it."""
    return _read(store, data).get(column, [])


def _read(store: Store, data: str) -> dict[str, list[str]]:
    content = store.documents.read(_name(data))
    try:
        return dict(files.parse_json(content)) if content else {}
    except (ValueError, TypeError):  # damaged; the next run of the space writes it again
        return {}


def _name(data: str) -> str:
    return f"{FOLDER}/{data}.json"
