"""The definition of a cell: which trials make it, its mean and its spread.

A cell is one initialization of one network on one target under one protocol; its trials differ in the seeds
of pre-training and fine-tuning alone. Every table, sentence, chart, comparison and claim takes its cells from
here. Values are in per cent.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import inf, nan
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from grid.results.display import (
    bracketed,
    initialization_name,
    network_name,
    protocol_differences,
    target_name,
)
from grid.results.frame import NO_METRICS, PROTOCOLS
from grid.results.items import ItemSubset
from grid.results.metrics import LATER, UNSCALED
from grid.space.protocols import Values, has_meaning, protocol_fields
from grid.space.trials import PAPER_METRICS, network_id, task_of
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

TrialState = Literal["finished", "failed", "blocked", "running", "missing"]
Column = tuple[str, float]  # of a table: the target and the share of its training images
Row = dict[str, Any]  # of the frame: one trial

REPEATED = {"seed": "seeds", "fold": "splits", "pretrain_seed": "pre-trainings"}  # by field of Repeat


class Repeat(NamedTuple):
    """What the trials of one cell differ in."""

    pretrain_seed: int
    fold: int
    seed: int

    @property
    def label(self) -> str:
        """The repeat as people write it: `seed 1`, `pre-training 1, split 2, seed 0`."""
        parts = {"pre-training": self.pretrain_seed, "split": self.fold}
        return "".join(f"{name} {number}, " for name, number in parts.items() if number) + f"seed {self.seed}"


class ComparisonGroup(NamedTuple):
    """What cells have in common whose initializations are compared."""

    architecture: str
    backbone: str
    target: str
    target_size: float
    protocol: str


@dataclass(frozen=True)
class CellKey:
    """The factors of a cell. `protocol` and `source_protocol` are hashes, "" where none was recorded."""

    initialization: str  # with the sample size, such as "CheXpert-20k"
    source: str
    sample_size: int | None
    backbone: str
    architecture: str
    target: str
    target_size: float
    protocol: str = ""
    source_protocol: str = ""

    @property
    def group(self) -> ComparisonGroup:
        return ComparisonGroup(*(getattr(self, name) for name in ComparisonGroup._fields))


@dataclass(frozen=True)
class Cell:
    """All trials with one key, each unit counted once.

    `values` are in per cent, of finished repeats alone; `digests` names their units, `items` the files of
    their test items, where these are stored. `repeats` are the planned ones, of which `states` counts all.
    `settings` and `source_settings` say in what the protocols of fine-tuning and pre-training differ from
    those of other cells (`learning_rate 0.001`); empty where nothing differs. `fields` are those of the
    training protocol, if it has one; `varied` names those that differ between the cells of its network and
    target, `selected` those of which the validation set selected the value in `fields`; `other_settings` says
    what differs beside them. `notes` are what `label` and `column` say behind names
    (grid.results.display.notes_of).
    """

    key: CellKey
    metric: str
    values: Mapping[Repeat, float]
    digests: Mapping[Repeat, str]
    items: Mapping[Repeat, str | ItemSubset]
    states: Mapping[TrialState, int]
    repeats: tuple[Repeat, ...]
    experiments: tuple[str, ...]
    settings: str = ""
    source_settings: str = ""
    other_settings: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def planned(self) -> int:
        return len(self.repeats)

    @property
    def repeated(self) -> str:
        """What was repeated beside seeds: `10 of 10 (2 of 2 seeds, 5 of 5 splits)`; empty for seeds alone."""
        found = [
            (factor, f"{len(self._distinct(factor, self.values))} of {planned} {word}")
            for factor, word in REPEATED.items()
            if (planned := len(self._distinct(factor, self.repeats))) > 1
        ]
        if all(factor == "seed" for factor, _ in found):
            return ""
        return f"{self.n} of {self.planned} ({', '.join(text for _, text in found)})"

    @staticmethod
    def _distinct(factor: str, repeats: Iterable[Repeat]) -> set[int]:
        return {getattr(repeat, factor) for repeat in repeats}

    @cached_property
    def mean(self) -> float:
        """Mean over pre-trainings and splits of the mean over finished seeds; nan where there are none."""
        found: dict[tuple[int, int], list[float]] = {}
        for repeat, value in self.values.items():
            found.setdefault((repeat.pretrain_seed, repeat.fold), []).append(value)
        return mean(map(mean, found.values())) if found else nan

    @cached_property
    def std(self) -> float:
        """Sample standard deviation (ddof 1); nan below two finished repeats."""
        return stdev(self.values.values()) if self.n > 1 else nan

    @property
    def label(self) -> str:
        """The initialization as a row names it: `CheXpert-20k [pretrain.learning_rate 0.001]`."""
        return bracketed(initialization_name(self.key, self.notes), self.source_settings)

    @property
    def network(self) -> str:
        """The network as people write it: `U-Net / ResNet-18 [learning_rate 0.001]`."""
        return bracketed(network_name(self.key.architecture, self.key.backbone), self.settings)

    @property
    def network_id(self) -> str:
        """The network as spaces and filters write it: `unet/resnet18 [learning_rate 0.001]`."""
        return bracketed(network_id(self.key.architecture, self.key.backbone), self.settings)

    @property
    def differences(self) -> str:
        """In what both protocols differ from those of other cells."""
        return ", ".join(filter(None, (self.settings, self.source_settings)))

    @property
    def column(self) -> Column:
        return target_name(self.key.target, self.notes), self.key.target_size

    @property
    def undefined(self) -> int:
        """Repeats that finished without a number, such as the AUC of a test set of one class."""
        return self.states.get("finished", 0) - self.n

    @property
    def missing(self) -> int:
        """Repeats that neither finished nor failed nor wait for a unit that failed."""
        return self.planned - sum(self.states.get(state, 0) for state in ("finished", "failed", "blocked"))

    @property
    def word(self) -> str:
        """Why there is no mean: "failed", "blocked", "undef", or "" where the cell was not run."""
        if state := next((state for state in ("failed", "blocked") if self.states.get(state)), ""):
            return state
        return "undef" if self.undefined else ""


KEY = tuple(item.name for item in fields(CellKey))


def find_cells(frame: "pd.DataFrame", metric: str | None = None) -> list[Cell]:
    """Return the cells of a frame as `grid.results.load` gives it, in the order of its trials.

    `metric` is a column of the frame, by default the headline metric of each task; trials whose task does not
    have it are excluded. A column `state` (`StoredSpace.state`) goes before `status`. Raises InputError for
    an unknown metric, and where two units are the same repeat of one cell.
    """
    grouped: dict[CellKey, dict[str, list[Row]]] = {}
    for trial in _with_metric(_rows(frame), metric):
        units = grouped.setdefault(_key(trial), {})
        units.setdefault(trial["digest"], []).append(trial)
    _check_repeats(grouped)
    protocols, notes = frame.attrs.get("protocols", {}), frame.attrs.get("notes", {})
    differences, selected = protocol_differences(grouped, protocols), frame.attrs.get("select", ())
    return [
        replace(
            _cell(key, list(units.values()), metric),
            settings=differences[key].settings,
            source_settings=differences[key].source,
            other_settings=differences[key].others,
            fields=_fields(protocols.get(next(iter(units.values()))[0]["protocol"], {})),
            varied=(*selected, *differences[key].varied),
            selected=selected,
            notes=notes,
        )
        for key, units in grouped.items()
    ]


def _fields(values: Values) -> dict[str, Any]:
    """Return the fields of a protocol that have a meaning in it."""
    return {name: value for name, value in protocol_fields(values).items() if has_meaning(name, values)}


def _rows(frame: "pd.DataFrame") -> list[Row]:
    """The selected trials with None for what is not there or infinite. A frame without protocols has one."""
    known = frame.notna() & ~frame.isin([inf, -inf])
    rows: list[Row] = frame.astype(object).where(known, None).to_dict("records")  # type: ignore[assignment]
    return [dict.fromkeys(PROTOCOLS, "") | row for row in rows if row.get("selected", True)]


def _with_metric(rows: list[Row], metric: str | None) -> list[Row]:
    """Drop the trials whose task does not have `metric`."""
    if metric is None:
        return rows
    own, _, test_set = metric.partition("@")
    if test_set:  # whose items its own frame has
        raise InputError(f"--metric {metric}: use --metric {own} --test-set {test_set}, or on_test_set")
    tasks = {_task(row) for row in rows if metric not in NO_METRICS and row.get(metric) is not None}
    if not tasks:
        numbers = {name for row in rows for name, value in row.items() if isinstance(value, float)}
        known = sorted(name for name in numbers - NO_METRICS if "@" not in name)
        hint = "results of version 0.3.1 lack it" if metric in LATER else did_you_mean(metric, known)
        raise InputError(f"--metric {metric}: no finished trial has it; {hint}")
    return [row for row in rows if _task(row) in tasks]


def _task(row: Row) -> str:
    return task_of(row["architecture"])


def _key(row: Row) -> CellKey:
    factors = {name: row[name] for name in KEY} | {"protocol": row.get("compared_protocol", row["protocol"])}
    size = factors["sample_size"]
    return CellKey(**factors | {"sample_size": int(size) if size else None})


def _repeat(row: Row) -> Repeat:
    return Repeat(int(row.get("pretrain_seed") or 0), int(row.get("fold") or 0), row["seed"])


def _check_repeats(grouped: Mapping[CellKey, Mapping[str, list[Row]]]) -> None:
    """Raise InputError where two units are one repeat, whose protocols the record does not tell apart."""
    problems = [
        f"{key.initialization} → {key.target}, {network_id(key.architecture, key.backbone)}: {count} units "
        f"are {repeat.label} of one cell, and their settings are not recorded; run the same command again"
        for key, units in grouped.items()
        for repeat, count in Counter(_repeat(rows[0]) for rows in units.values()).items()
        if count > 1
    ]
    if problems:
        raise InputError(problems)


def _cell(key: CellKey, units: list[list[Row]], metric: str | None) -> Cell:
    rows = [unit[0] for unit in units]
    name = metric or rows[0].get("headline") or PAPER_METRICS[_task(rows[0])]
    scale = 1 if name in UNSCALED else 100
    states: list[TrialState] = [_state(row, name) for row in rows]
    pairs = zip(rows, states, strict=True)
    finished = [row for row, state in pairs if state == "finished" and row.get(name) is not None]
    return Cell(
        key=key,
        metric=name,
        values={_repeat(row): scale * float(row[name]) for row in finished},
        digests={_repeat(row): row["digest"] for row in finished},
        items={_repeat(row): path for row in finished if (path := row.get("items"))},
        states=Counter(states),
        repeats=tuple(map(_repeat, rows)),
        experiments=tuple(dict.fromkeys(row["experiment"] for unit in units for row in unit)),
    )


def _state(row: Row, metric: str) -> TrialState:
    """A frame without states has values of finished trials alone."""
    return row.get("state") or row.get("status") or ("missing" if row.get(metric) is None else "finished")
