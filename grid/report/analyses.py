"""Figures 2, 6a and 6b of the paper from our own analyses: distances, SVCCA, filters of the first layer.

Read from the store's artifacts. Units that are not finished are counted; unreadable ones are warnings.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid.results.stored_space import StoredSpace
from grid.space.trials import thousands
from medpt.analysis.cmd import PAPER_SCALES, average_cmd
from medpt.analysis.distances import Distances, mean_matrix, measured, nearest_agreement, rank_correlation
from medpt.analysis.settings import Settings
from medpt.data.catalog import card
from medpt.errors import InputError
from medpt.specs import Coordinates, Filters, Prepare, Pretrain, Svcca

KINDS = {"cmd": "coordinates", "svcca": "svcca", "filters": "filters"}  # of an analysis: of its units
COORDINATES, SIMILARITY, FILTERS = "coordinates.npz", "svcca.npz", "filters.npz"
SHOWN = ("before panel", "after panel", "difference panel")
ROWS_A_CHANNEL = 40  # below which the similarity of unrelated networks is above 0.15
PIXELS = 4  # of a stored panel that make one of the page's; the gaps between filters are as wide

Arrays = dict[str, NDArray[Any]]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    finished: int
    planned: int

    @property
    def text(self) -> str:
        return f"{self.finished} of {self.planned}"


@dataclass(frozen=True)
class Control:
    """What else might order the datasets so: its rank correlation with average cmd over all pairs of
    datasets, and the share of datasets whose nearest other one is the same.
    """

    name: str
    correlation: float
    agreement: float


@dataclass(frozen=True)
class Scale:
    """Epsilon of one init: the reference's cmd with itself, and what the paper printed."""

    init: str
    ours: float
    paper: float


@dataclass(frozen=True)
class Neighbour:
    dataset: str
    modality: str
    nearest: str
    nearest_modality: str
    cmd: float
    images: int


@dataclass(frozen=True)
class Modality:
    """One analysis of kind cmd; `found` is None below two finished datasets."""

    coverage: Coverage
    found: Distances | None
    modalities: tuple[str, ...] = ()
    controls: tuple[Control, ...] = ()

    @property
    def scales(self) -> list[Scale]:
        known = self.found.scales if self.found else {}
        return [Scale(init, ours, PAPER_SCALES[init]) for init, ours in known.items()]

    @property
    def neighbours(self) -> list[Neighbour]:
        if self.found is None:
            return []
        found, modality = self.found, dict(zip(self.found.names, self.modalities, strict=True))
        rows = zip(found.names, found.nearest(), found.images, strict=True)
        return [
            Neighbour(name, modality[name], near, modality[near], self.between(name, near), images)
            for name, near, images in rows
        ]

    @property
    def alike(self) -> int:
        """Datasets whose nearest other one is of their modality."""
        return sum(entry.modality == entry.nearest_modality for entry in self.neighbours)

    @property
    def possible(self) -> int:
        """Datasets that have another one of their modality here."""
        return sum(self.modalities.count(name) > 1 for name in self.modalities)

    def between(self, a: str, b: str) -> float:
        assert self.found is not None  # noqa: S101 - for the type checker
        names = self.found.names
        return float(self.found.average[names.index(a), names.index(b)])


@dataclass(frozen=True)
class Network:
    """A pre-trained network: the seed of its pre-training is 0 for published weights."""

    source: str
    seed: int
    backbone: str

    @property
    def label(self) -> str:
        return f"{self.source} (pre-training {self.seed})" if self.seed else self.source


@dataclass(frozen=True)
class Layers(Network):
    """SVCCA of one source: arrays over layers; `floor` is what unrelated networks would have."""

    names: tuple[str, ...]
    similarity: NDArray[np.float64]
    floor: NDArray[np.float64]
    rows: NDArray[np.int64]
    channels: NDArray[np.int64]
    images: float
    spread: NDArray[np.float64]  # standard deviation over fresh networks before; nan with one network

    @property
    def scarce(self) -> int:
        """Layers with too few rows to tell a network from an unrelated one."""
        return int((self.rows < ROWS_A_CHANNEL * self.channels).sum())


@dataclass(frozen=True)
class FilterSet(Network):
    """The first layer of one source: pictures uint8 (H, W, 3) by SHOWN, the unit's metrics."""

    pictures: dict[str, NDArray[np.uint8]]
    gabors: NDArray[np.float64]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Similarities:
    coverage: Coverage
    layers: tuple[Layers, ...]


@dataclass(frozen=True)
class FilterSets:
    coverage: Coverage
    sets: tuple[FilterSet, ...]


def _network(stored: StoredSpace, spec: Svcca | Filters) -> tuple[str, int, str]:
    """Return what a Network has of an analysed one."""
    unit = stored.units.get(spec.weights)
    seed = unit.spec.seed if unit and isinstance(unit.spec, Pretrain) else 0
    return stored.plan.initialization_of(spec), seed, spec.backbone


def entries(stored: StoredSpace, kind: str) -> list[list[str]]:
    """The digests of each analysis of that kind in the plan."""
    return [list(digests) for analysis, digests in stored.plan.analyses if analysis.kind == kind]


def coverage(stored: StoredSpace, digests: Sequence[str]) -> Coverage:
    return Coverage(len(stored.finished.intersection(digests)), len(digests))


def finished(stored: StoredSpace) -> tuple[int, int]:
    """Units of all analyses together: (finished, planned)."""
    units = {digest for _, digests in stored.plan.analyses for digest in digests}
    return len(units & stored.finished), len(units)


def arrays(stored: StoredSpace, digest: str, name: str) -> Arrays | None:
    path = stored.artifact(digest, name)
    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as saved:
            return dict(saved)
    except (OSError, ValueError):
        stored.warnings.append(f"{stored.units[digest].label}: {name} holds no arrays")
        return None


def _finished(stored: StoredSpace, digests: Sequence[str], name: str) -> Iterator[tuple[str, Any, Arrays]]:
    """(digest, specification, arrays) of what can be read."""
    for digest in digests:
        if digest in stored.finished and (found := arrays(stored, digest, name)) is not None:
            yield digest, stored.units[digest].spec, found


def modality(stored: StoredSpace, digests: Sequence[str]) -> Modality:
    """Compare the clouds of one analysis with each other."""
    clouds: dict[str, Arrays] = {}
    datasets: dict[str, str] = {}
    options: dict[str, Any] = {}
    for _, spec, saved in _finished(stored, digests, COORDINATES):
        name = _label(stored, spec)
        clouds[name], datasets[name], options = saved, spec.dataset, dict(spec.options)
    done = coverage(stored, digests)
    if len(clouds) < 2:
        return Modality(done, None)
    settings = Settings(**options)
    wanted = [name for reference in settings.reference for name in datasets if datasets[name] == reference]
    try:
        found = _measured(clouds, (wanted or list(clouds))[0], settings, "")
        controls = _controls(clouds, found)
    except InputError as error:
        stored.warnings += [f"Figure 2: {problem}" for problem in error.problems]
        return Modality(done, None)
    return Modality(done, found, tuple(_modality_of(datasets[name], stored) for name in clouds), controls)


def _modality_of(dataset: str, stored: StoredSpace) -> str:
    """As people write it."""
    name = card(dataset, stored.plan.cards).modality
    return {"ct": "CT", "mri": "MRI", "oct": "OCT", "x-ray": "X-ray"}.get(name, name)


def _label(stored: StoredSpace, spec: Coordinates) -> str:
    prepared = stored.units[spec.data].spec
    size = prepared.sample_size if isinstance(prepared, Prepare) else None
    return spec.dataset + (f"-{thousands(size)}" if size else "")


def _measured(clouds: dict[str, Arrays], reference: str, settings: Settings, prefix: str) -> Distances:
    stacked = {
        init: np.stack([saved[f"{prefix}{init}"] for saved in clouds.values()], axis=1)
        for init in settings.inits
    }
    images = tuple(int(saved["images"]) for saved in clouds.values())
    return measured(stacked, tuple(clouds), images, reference, settings)


def _controls(clouds: dict[str, Arrays], found: Distances) -> tuple[Control, ...]:
    colours = np.stack([saved["mean colour"] for saved in clouds.values()], axis=1)
    others: dict[str, Matrix] = {
        "mean colours alone, without any network": mean_matrix(colours, found.settings),
        "average pool: the network exactly linear": _measured(
            clouds, found.reference, found.settings, "average pool|"
        ).average,
        "grey-world images: without their colour cast": _measured(
            clouds, found.reference, found.settings, "grey world|"
        ).average,
        "ε multiplied, as equation 3 prints it": average_cmd(found.per_init, found.scales, "multiply"),
    }
    return tuple(
        Control(name, rank_correlation(found.average, matrix), nearest_agreement(found.average, matrix))
        for name, matrix in others.items()
    )


def similarities(stored: StoredSpace, digests: Sequence[str]) -> Similarities:
    found = [
        Layers(
            *_network(stored, spec),
            tuple(map(str, saved["layers"])),
            saved["similarity"],
            saved["floor"],
            saved["rows"],
            saved["channels"],
            stored.metrics(digest).get("probe_images", math.nan),
            saved.get("similarity_std", np.full(len(saved["similarity"]), math.nan)),
        )
        for digest, spec, saved in _finished(stored, digests, SIMILARITY)
        if isinstance(spec, Svcca)
    ]
    return Similarities(coverage(stored, digests), tuple(found))


def filter_sets(stored: StoredSpace, digests: Sequence[str]) -> FilterSets:
    found = [
        FilterSet(
            *_network(stored, spec),
            {name: saved[name][::PIXELS, ::PIXELS] for name in SHOWN},
            saved.get("after gabor", np.empty(0)),
            stored.metrics(digest),
        )
        for digest, spec, saved in _finished(stored, digests, FILTERS)
        if isinstance(spec, Filters)
    ]
    return FilterSets(coverage(stored, digests), tuple(found))
