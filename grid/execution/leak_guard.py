"""A pre-training beside the images that guard it: what is left out, or the common result where nothing is.

Every pair of prepared data is compared once a node; the answer lies in its cache, which may be deleted.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from grid.store.store import Store
from medpt import files
from medpt.data import leakage
from medpt.data.leakage import Leak
from medpt.data.manifest import MANIFEST, Manifest
from medpt.specs import Pretrain

RECORD = "leaks.json"  # the artifact of every guarded pre-training


@dataclass(frozen=True)
class Pair:
    """A source beside a target: training images of the one, guarded images of the other, what they share."""

    source: str
    target: str
    images: int
    against: int
    found: tuple[Leak, ...]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(leak.kind for leak in self.found)


def pairs(spec: Pretrain, store: Store, cache: Path) -> list[Pair]:
    """All pairs of one modality. Raises InputError for damaged shards."""
    names = (*spec.data, *spec.guards)
    modality = {name: Manifest.read(store.artifact(name, MANIFEST).parent).modality for name in names}
    return [
        pair(source, guard, store, cache)
        for source, guard in product(spec.data, spec.guards)
        if modality[source] == modality[guard]
    ]


def pair(source: str, target: str, store: Store, cache: Path) -> Pair:
    """Of two preparations, by digest."""
    path = cache / "leaks" / f"{source[:24]}-{target[:24]}-{leakage.LIMIT}.json"
    if not path.is_file():
        files.write_json(path, asdict(_compare(store.whole(source), store.whole(target))))
    return from_plain(files.read_json(path))


def from_plain(plain: Mapping[str, Any]) -> Pair:
    """What `asdict` and JSON made of a pair."""
    return Pair(**{**plain, "found": tuple(Leak(**leak) for leak in plain["found"])})


def _compare(source: Path, target: Path) -> Pair:
    one, other = leakage.read(source), leakage.read(target)
    training, shown = leakage.compared(one, other)
    found = tuple(leakage.find(one, other))
    return Pair(one.dataset, other.dataset, len(training.ids), len(shown.ids), found)


def record(compared: Sequence[Pair]) -> dict[str, Any]:
    """What RECORD holds."""
    return {"pairs": [asdict(entry) for entry in compared]}


def take_over(name: str, store: Store, folder: Path) -> dict[str, float]:
    """The artifacts of a finished unit into `folder`; its metrics. Raises InputError where one is damaged."""
    marker = store.marker(name)
    for artifact in marker["artifacts"]:
        _link(store.artifact(name, artifact), folder / artifact)
    metrics: dict[str, float] = marker["metrics"]
    return metrics


def _link(source: Path, target: Path) -> None:
    """One file under two names where the file system can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
