"""The tables of a report: cells over seeds, and their differences to random weights.

A cell is one initialization of one network on one target. It counts each unit of work once, takes the mean
over finished seeds alone and says how many were planned. All numbers are in per cent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from grid.query import METRIC_NAMES as METRIC_NAMES
from grid.query import METRICS
from grid.space.trials import RANDOM
from medpt.data.cards import card
from medpt.specs import CLASSIFIER, NO_NETWORK
from medpt.survival.needs import NEEDS

if TYPE_CHECKING:
    import pandas as pd

CELL = (
    "architecture",
    "backbone",
    "initialization",
    "source",
    "sample_size",
    "target",
    "target_size",
)
NETWORKS = {
    "unet": "U-Net",
    "deeplabv3plus": "DeepLabV3+",
    "cenet": "CE-Net",
    "hynet": "HyNet (reconstruction)",
    "etnet": "ET-Net",
}
BACKBONES = {"resnet18": "ResNet-18", "shufflenet_v2": "ShuffleNet V2", "densenet121": "DenseNet-121"}
MODELS = {  # of survival; the first two stand behind the backbone, as in the paper's table 5
    "km": "KM",
    "spectral": "SP",
    "wsisa-mtlsa": "WSISA + MTLSA",
    "deepattnmisl": "DeepAttnMISL",
    "rsf": "RSF",
    "boostci": "BoostCI",
    "cox": "Cox on clinical data (not in the paper)",
}

VERDICTS = {
    "better": "more than one standard deviation",
    "worse": "more than one standard deviation",
    "noise": "within noise",  # within one standard deviation
    "unknown": "single seeds, noise unknown",
    "none": "nothing to compare",
}

Column = tuple[str, float]  # target, share of its training part


@dataclass(frozen=True)
class Cell:
    """`values` holds the test metric of each finished seed, in per cent, `digests` its fine-tuning.

    `states` counts all planned seeds by state.
    """

    architecture: str
    backbone: str
    initialization: str
    source: str
    sample_size: int | None
    target: str
    target_size: float
    experiments: tuple[str, ...]
    metric: str
    values: dict[int, float]
    digests: dict[int, str]
    states: dict[str, int]
    planned: int

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return mean(self.values.values()) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation (ddof 1); nan below two seeds."""
        return stdev(self.values.values()) if self.n > 1 else math.nan

    @property
    def network(self) -> str:
        return network(self.architecture, self.backbone)

    @property
    def column(self) -> Column:
        return self.target, self.target_size

    @property
    def undefined(self) -> int:
        """Seeds that finished without a number: the test part has none, such as an AUC of one class."""
        return self.states.get("finished", 0) - self.n

    @property
    def missing(self) -> int:
        """Seeds that neither finished nor failed nor wait for a unit that failed."""
        return self.planned - sum(self.states.get(state, 0) for state in ("finished", "failed", "blocked"))

    @property
    def word(self) -> str:
        """Why there is no mean: failed, blocked, undef, or nothing where it was not run."""
        if state := next((state for state in ("failed", "blocked") if self.states.get(state)), ""):
            return state
        return "undef" if self.undefined else ""


def network(architecture: str, backbone: str) -> str:
    """As people write it; an extension's names as they are."""
    encoder = BACKBONES.get(backbone, backbone)
    if needs := NEEDS.get(architecture):
        model = MODELS[architecture]
        if needs.network and needs.features and needs.pixels:
            return f"{encoder} + {model}"
        return f"{model} / {encoder}" if needs.network else model
    return (
        encoder if architecture == CLASSIFIER else f"{NETWORKS.get(architecture, architecture)} / {encoder}"
    )


def heading(column: Column) -> str:
    """`DRIVE`, or `DRIVE, 10 %` where only a part of its training images is used."""
    target, size = column
    return target if size == 1 else f"{target}, {100 * size:g} %"


def cells(frame: "pd.DataFrame") -> list[Cell]:
    """The cells of `grid.results.load` with a column `state`, in the order in which the space names them."""
    trials: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
    grouped: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    for trial in trials:
        key = tuple(trial[name] for name in CELL)
        grouped.setdefault(key, {}).setdefault(trial["digest"], {"experiments": []} | trial)
        grouped[key][trial["digest"]]["experiments"].append(trial["experiment"])
    return [_cell(key, list(units.values())) for key, units in grouped.items()]


def _cell(key: tuple[Any, ...], trials: list[dict[str, Any]]) -> Cell:
    factors = dict(zip(CELL, key, strict=True))
    metric = METRICS[card(factors["target"]).task]
    finished = [t for t in trials if t["state"] == "finished" and t.get(metric) is not None]
    values = {trial["seed"]: 100 * trial[metric] for trial in finished}
    digests = {trial["seed"]: trial["digest"] for trial in finished}
    states: dict[str, int] = {}
    for trial in trials:
        states[trial["state"]] = states.get(trial["state"], 0) + 1
    factors["sample_size"] = int(factors["sample_size"]) if factors["sample_size"] else None
    experiments = tuple(dict.fromkeys(name for trial in trials for name in trial["experiments"]))
    return Cell(
        **factors,
        experiments=experiments,
        metric=metric,
        values=values,
        digests=digests,
        states=states,
        planned=len(trials),
    )


@dataclass(frozen=True)
class Block:
    """The rows of one network in a table: (initialization, a cell or None for each column)."""

    network: str
    rows: list[tuple[str, list[Cell | None]]]

    def best(self, position: int) -> float:
        """The highest mean of a column; nan where no cell has one."""
        means = [cell.mean for _, row in self.rows if (cell := row[position]) and cell.n]
        return max(means, default=math.nan)


@dataclass(frozen=True)
class Table:
    """All cells of one metric: blocks of rows over columns of targets."""

    metric: str
    columns: list[Column]
    blocks: list[Block]


def tables(found: Sequence[Cell]) -> list[Table]:
    """One table a metric, rows and columns in the order of the cells."""
    metrics = dict.fromkeys(cell.metric for cell in found)
    return [_table(metric, [cell for cell in found if cell.metric == metric]) for metric in metrics]


def _table(metric: str, found: list[Cell]) -> Table:
    columns = list(dict.fromkeys(cell.column for cell in found))
    placed = {(cell.network, cell.initialization, cell.column): cell for cell in found}
    names = dict.fromkeys((cell.network, cell.initialization) for cell in found)
    blocks = {network: Block(network, []) for network, _ in names}
    for network, start in names:
        blocks[network].rows.append((start, [placed.get((network, start, column)) for column in columns]))
    return Table(metric, columns, list(blocks.values()))


@dataclass(frozen=True)
class Contrast:
    """One network on one target: the best pre-trained cell against random weights.

    `gain` is the difference of the means in points, `noise` the larger of the two standard deviations; nan
    where there is nothing to take them from.
    """

    network: str
    column: Column
    random: Cell | None
    best: Cell | None

    @property
    def gain(self) -> float:
        return self.best.mean - self.random.mean if self.best and self.random else math.nan

    @property
    def noise(self) -> float:
        stds = [cell.std for cell in (self.best, self.random) if cell and cell.n > 1]
        return max(stds, default=math.nan)

    @property
    def complete(self) -> bool:
        return all(cell is not None and cell.n == cell.planned for cell in (self.best, self.random))

    @property
    def verdict(self) -> str:
        """One of VERDICTS."""
        if math.isnan(self.gain):
            return "none"
        if math.isnan(self.noise):
            return "unknown"
        if abs(self.gain) <= self.noise:
            return "noise"
        return "better" if self.gain > 0 else "worse"


def contrasts(found: Sequence[Cell]) -> list[Contrast]:
    """For every target and network that starts from weights, in the order of the cells."""
    pairs: dict[tuple[Column, str], list[Cell]] = {}
    for cell in found:
        if cell.initialization != NO_NETWORK:
            pairs.setdefault((cell.column, cell.network), []).append(cell)
    result = []
    for (column, net), group in pairs.items():
        finished = [cell for cell in group if cell.n]
        random = next((cell for cell in finished if cell.initialization == RANDOM), None)
        trained = [cell for cell in finished if cell.initialization != RANDOM]
        result.append(Contrast(net, column, random, max(trained, key=lambda cell: cell.mean, default=None)))
    return result
