"""The answer of a comparison in one paragraph: which initialization, by how much, and how sure that is.

`answers` takes a frame as `grid.results.load` gives it and returns one Answer for each comparison group;
`describe` (grid.results.answer_text) writes it as text. Terminal, report and answer.json show the same. All
numbers are those of grid.results.comparisons. A mean alone names no winner: initializations that cannot be
distinguished from the best are named beside it.
"""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import isnan, nan
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, get_args

from grid.results import verdicts
from grid.results.answer_text import describe
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import Difference, differences, intervals
from grid.results.controls import TRIVIAL, Control
from grid.results.display import METRIC_NAMES
from grid.results.groups import ComparedGroup, compared_groups
from grid.results.standings import Standing, standings
from grid.results.verdicts import Verdict
from grid.space.protocols import PROTOCOL_FIELDS
from grid.space.trials import RANDOM, task_of
from medpt.frozen_specs import FINETUNE, Mode
from medpt.grouping import grouped
from medpt.specs import CLASSIFIER

if TYPE_CHECKING:
    import pandas as pd

DIVIDING_FACTORS = ("backbone", "architecture", "target_size", *PROTOCOL_FIELDS)


@dataclass(frozen=True)
class Gain:
    """How far the best cell is above another one, in points with the 95 % interval (nan: no interval).

    `repeats_needed` (seeds or splits of each cell) and `images_needed` (of the test set) would decide a true
    difference of this size; None where no number would, or where it is decided.
    """

    over: str
    value: float
    low: float
    high: float
    verdict: Verdict
    p_better: float
    decidable: float
    repeats_needed: int | None = None
    images_needed: int | None = None


@dataclass(frozen=True)
class Answer:
    """What one comparison group says. Means and limits are in per cent; nan where there are none.

    `best` has the highest mean; `ties` are the others that cannot be distinguished from it. `over_random` is
    None where the best is random weights or these have no finished run. `repeats` says whether runs differ
    in seeds or in splits. Of the `finished` runs, `undefined` have no value of the metric. `trivial` is the
    score of the trivial predictor; `learned` says whether the best cell exceeds it. `seconds` is the mean
    duration of a run. `digests` names the best cell's units.
    """

    target: str
    network: str
    metric: str
    best: str
    initialization: str  # of the best, as a space writes it: `best` may have a remark behind it
    mean: float
    low: float
    high: float
    ties: tuple[str, ...]
    over_random: Gain | None
    over_second: Gain | None
    initializations: int
    comparisons: int
    repeats: str
    finished: int
    undefined: int
    planned: int
    images: int | None
    patients: int | None
    learned: bool = True
    trivial: float = nan
    seconds: float = nan
    note: str = ""
    cautions: tuple[str, ...] = ()
    predict: str = ""  # options of grid.predict for the networks of the best cell; "" where it has none
    digests: tuple[str, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold, with None for nan, and the paragraph as `text`."""
        return {"text": describe(self)} | _without_nan(asdict(self))


def answers(frame: "pd.DataFrame") -> list[Answer]:
    """Return the answer of each comparison group that has a finished run, in the order of its trials."""
    cells = find_cells(frame)
    of_group = grouped(cells, lambda cell: cell.key.group)
    controls: Sequence[Control] = frame.attrs.get("controls", ())
    known = {standing.best.key.group: standing for standing in standings(cells, controls)}
    seconds: dict[str, float] = dict(frame[["digest", "seconds"]].values) if "seconds" in frame else {}
    return [
        replace(each, predict=predict_options(frame, each.digests))
        for key, group in compared_groups(cells).items()
        for each in [_answer(group, of_group[key], known.get(key), seconds)]
    ]


def predict_options(frame: "pd.DataFrame", digests: Sequence[str]) -> str:
    """Return the options of grid.predict that mean these fine-tunings, with as few factors as possible.

    Empty where no network was trained, and for a frame that is of no space.
    """
    from pandas import isna

    first = frame[frame["digest"] == digests[0]].iloc[0]
    if "space" not in frame.attrs or not _is_fine_tuned(first):
        return ""
    space, values = frame.attrs["space"], {}
    names = ["target", "initialization", *(factor for factor in DIVIDING_FACTORS if factor in frame)]
    frame = frame[names]
    for name in names:
        value = first[name]
        if name in ("target", "initialization") or frame[name].nunique(dropna=False) > 1:
            values[name] = value
            frame = frame[(frame[name] == value) | (frame[name].isna() & isna(value))]
    conditions = ",".join(f"{name}={_text(value)}" for name, value in values.items())
    return shlex.join(["--space", space, "--where", conditions])


def out_option(frame: "pd.DataFrame") -> str:
    """Return the option that names the store of a frame; empty where it is the default one."""
    default = str(Path("runs").absolute())
    out = frame.attrs.get("out", default)
    return "" if out == default else shlex.join(["--out", out])


def _is_fine_tuned(row: Any) -> bool:
    """Whether a trial trains a network: neither a survival model nor a linear model on frozen features."""
    frozen = row["architecture"] == CLASSIFIER and row.get("mode") in {*get_args(Mode)} - {FINETUNE}
    return task_of(row["architecture"]) != "survival" and not frozen


def _text(value: Any) -> str:
    """A value of the frame as conditions write it: pandas has its own missing value."""
    from pandas import isna

    return "None" if isna(value) else str(value)


def _answer(
    group: ComparedGroup,
    cells: Sequence[Cell],
    standing: Standing | None,
    seconds: dict[str, float],
) -> Answer:
    ordered = sorted(group.cells, key=lambda cell: -cell.mean)
    best, limits = ordered[0], intervals(group)[ordered[0].key]
    kept = verdicts.set_of_the_best(group.group, len(ordered))
    found = differences(group)
    second = ordered[1].key.initialization if len(ordered) > 1 else ""
    took = [float(s) for cell in ordered for d in cell.digests.values() if (s := seconds.get(d)) and s == s]
    return Answer(
        target=best.column[0],
        network=best.network,
        metric=METRIC_NAMES.get(best.metric, best.metric),
        best=best.label,
        initialization=best.key.initialization,
        mean=best.mean,
        low=limits.low,
        high=limits.high,
        ties=tuple(cell.label for cell in ordered[1:] if group.places[cell.key] in kept),
        over_random=_gain(found, best),
        over_second=_gain(differences(group, second), best) if second not in ("", RANDOM) else None,
        initializations=len(cells),
        comparisons=len(found),
        repeats="split" if len({repeat.fold for cell in cells for repeat in cell.repeats}) > 1 else "seed",
        finished=sum(cell.n + cell.undefined for cell in cells),
        undefined=sum(cell.undefined for cell in cells),
        planned=sum(cell.planned for cell in cells),
        images=group.images,
        patients=group.patients,
        seconds=mean(took) if took else nan,
        note=group.note,
        digests=tuple(best.digests.values()),
        **_of_controls(standing),
    )


def _of_controls(standing: Standing | None) -> dict[str, Any]:
    """Whether the best cell exceeds the trivial predictor, and which other controls reach it."""
    if standing is None:
        return {}
    metric = standing.best.metric
    reached = [c for c in standing.controls if standing.is_reached_by(c)]
    trivial = next((c.mean(metric) for c in standing.controls if c.name == TRIVIAL), nan)
    names = tuple(c.name for c in reached if c.name != TRIVIAL)
    return {"learned": all(c.name != TRIVIAL for c in reached), "trivial": trivial, "cautions": names}


def _gain(found: Sequence[Difference], best: Cell) -> Gain | None:
    """Return the gain of the best cell among differences from one baseline."""
    one = next((each for each in found if each.cell is best), None)
    if one is None:
        return None
    return Gain(
        over=one.baseline.label,
        value=one.value,
        low=one.low,
        high=one.high,
        verdict=one.verdict,
        p_better=one.p_better,
        decidable=one.decidable,
        repeats_needed=one.seeds_needed if one.verdict == "undecided" else None,
        images_needed=one.images_needed if one.verdict == "undecided" else None,
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, float) and isnan(value):
        return None
    return value
