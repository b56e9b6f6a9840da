"""The answer of a comparison in one paragraph: which initialization, by how much, and how sure that is.

`answers` takes a frame as `grid.results.load` gives it and returns one Answer for each comparison group;
`describe` writes it as text. Terminal, report and answer.json show the same. All numbers are those of
grid.results.comparisons. A mean alone names no winner: what cannot be told from the best stands beside it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import isnan, nan
from statistics import mean
from typing import TYPE_CHECKING, Any

from grid.results import verdicts
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import MARGIN, Difference, differences, intervals
from grid.results.controls import TRIVIAL, Control
from grid.results.display import METRIC_NAMES
from grid.results.groups import ComparedGroup, compared_groups
from grid.results.standings import Standing, standings
from grid.results.verdicts import Verdict
from grid.space.trials import RANDOM
from medpt.cli import count

if TYPE_CHECKING:
    import pandas as pd


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

    `best` has the highest mean; `ties` are the others that cannot be told from the best. `over_random` is
    None where the best is random weights or these have no finished run. `repeats` says whether runs differ
    in seeds or in splits. `trivial` is the score of the trivial predictor; `learned` says whether the best
    cell exceeds it. `seconds` is the mean duration of a run. `digests` names the best cell's units.
    """

    target: str
    network: str
    metric: str
    best: str
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
    planned: int
    images: int | None
    patients: int | None
    learned: bool = True
    trivial: float = nan
    seconds: float = nan
    note: str = ""
    cautions: tuple[str, ...] = ()
    digests: tuple[str, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values that JSON can hold, with None for nan, and the paragraph as `text`."""
        return {"text": describe(self)} | _without_nan(asdict(self))


def answers(frame: "pd.DataFrame", margin: float = MARGIN) -> list[Answer]:
    """Return the answer of each comparison group that has a finished run, in the order of its trials."""
    cells = find_cells(frame)
    controls: Sequence[Control] = frame.attrs.get("controls", ())
    known = {standing.best.key.group: standing for standing in standings(cells, controls)}
    seconds: dict[str, float] = dict(frame[["digest", "seconds"]].values) if "seconds" in frame else {}
    return [
        _answer(group, [c for c in cells if c.key.group == key], known.get(key), seconds, margin)
        for key, group in compared_groups(cells).items()
    ]


def _answer(
    group: ComparedGroup,
    cells: Sequence[Cell],
    standing: Standing | None,
    seconds: dict[str, float],
    margin: float,
) -> Answer:
    ordered = sorted(group.cells, key=lambda cell: -cell.mean)
    best, limits = ordered[0], intervals(group)[ordered[0].key]
    kept = verdicts.set_of_the_best(group.group, len(ordered))
    found = differences(group, margin=margin)
    second = ordered[1].key.initialization if len(ordered) > 1 else ""
    took = [float(s) for cell in ordered for d in cell.digests.values() if (s := seconds.get(d)) and s == s]
    return Answer(
        target=best.column[0],
        network=best.network,
        metric=METRIC_NAMES.get(best.metric, best.metric),
        best=best.label,
        mean=best.mean,
        low=limits.low,
        high=limits.high,
        ties=tuple(cell.label for cell in ordered[1:] if group.places[cell.key] in kept),
        over_random=_gain(found, best),
        over_second=_gain(differences(group, second, margin), best) if second not in ("", RANDOM) else None,
        initializations=len(cells),
        comparisons=len(found),
        repeats="split" if len({repeat.fold for cell in cells for repeat in cell.repeats}) > 1 else "seed",
        finished=sum(cell.n for cell in cells),
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
    reached = [c for c in standing.controls if min(c.mean(metric) + c.reach(metric), 100) >= standing.bound]
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


def describe(answer: Answer) -> str:
    """Write the answer as one paragraph."""
    if not answer.learned:
        return " ".join([_nothing_learned(answer), _tested(answer)])
    parts = [_best(answer)]
    if answer.over_random:
        parts.append(f"Its gain over random weights is {_gain_text(answer.over_random, answer)}.")
    if answer.over_second:
        second = _name(answer.over_second.over)
        parts.append(f"It is {_gain_text(answer.over_second, answer)} above the next, {second}.")
    if answer.comparisons == 0 and answer.initializations > 1:
        parts.append("Random weights and another initialization have to be finished for a comparison.")
    parts += [_tested(answer), _would_decide(answer), _caution(answer)]
    return " ".join(filter(None, parts))


def _name(label: str) -> str:
    return "random weights" if label == RANDOM else label


def _first(label: str) -> str:
    return "Random weights" if label == RANDOM else label


def _score(answer: Answer) -> str:
    limits = "" if isnan(answer.low) else f" [{answer.low:.1f}, {answer.high:.1f}]"
    return f"{answer.metric} {answer.mean:.1f} %{limits}"


def _best(answer: Answer) -> str:
    plural = answer.best == RANDOM
    where = f"for {answer.target} ({answer.network}; {_score(answer)})"
    of = f"of {count(answer.initializations, 'initialization')} {where}"
    if not answer.ties:
        return f"{_first(answer.best)} {'are' if plural else 'is'} the best {of}."
    it = "them" if plural else "it"
    text = f"but {_listed(answer.ties)} cannot be told from {it}"
    return f"{_first(answer.best)} {'have' if plural else 'has'} the highest mean {of}, {text}."


def _listed(labels: Sequence[str]) -> str:
    *first, last = map(_name, labels)
    return f"{', '.join(first)} and {last}" if first else last


def _gain_text(gain: Gain, answer: Answer) -> str:
    """Write `+4.3 points [1.2, 7.4]: better (P 0.98)`."""
    points = f"{gain.value:+.1f} points"
    if isnan(gain.low):
        return f"{points}, without an interval: undecided"
    corrected = f", corrected for {answer.comparisons} comparisons" if answer.comparisons > 1 else ""
    words = {
        "better": f"better (P {gain.p_better:.3f}{corrected})",
        "worse": f"worse (P {1 - gain.p_better:.3f}{corrected})",
        "equivalent": f"equivalent within {MARGIN:g} point",
        "undecided": f"undecided (P(better) {gain.p_better:.2f})",
    }
    return f"{points} [{gain.low:.1f}, {gain.high:.1f}]: {words[gain.verdict]}"


def _tested(answer: Answer) -> str:
    """Say what the answer rests on: `Tested on 60 images of 34 patients in each split; 15 of 20 runs ...`."""
    items = "an unknown number of images" if answer.images is None else count(answer.images, "image")
    people = f" of {count(answer.patients, 'patient')}" if answer.patients else ""
    each = " in each split" if answer.repeats == "split" else ""
    runs = f"{answer.finished} of {count(answer.planned, 'run')} {'is' if answer.finished == 1 else 'are'}"
    return f"Tested on {items}{people}{each}; {runs} finished."


def _would_decide(answer: Answer) -> str:
    """Say what would decide the gain over random weights, or over the next one, and what that costs."""
    gain = next((g for g in (answer.over_random, answer.over_second) if g and g.verdict == "undecided"), None)
    if gain is None or isnan(gain.decidable):
        return "" if gain is None else "More runs are needed for an interval."
    ways = []
    if gain.repeats_needed:
        ways.append(
            f"{count(gain.repeats_needed, answer.repeats)} of each{_cost(gain.repeats_needed, answer)}"
        )
    if gain.images_needed:
        each = " in each split" if answer.repeats == "split" else ""
        ways.append(f"{count(gain.images_needed, 'test image')}{each}")
    if not ways:
        return (
            f"A gain of {gain.value:.1f} points over {_name(gain.over)} is too small for more "
            f"{answer.repeats}s or images alone; these runs can show {gain.decidable:.1f} points or more."
        )
    return f"A true gain of this size over {_name(gain.over)} would be decided by {' or by '.join(ways)}."


def _cost(repeats: int, answer: Answer) -> str:
    """The hours of one device that the repeats of both cells take beyond those that are finished."""
    if isnan(answer.seconds):
        return ""
    hours = 2 * max(0, repeats - len(answer.digests)) * answer.seconds / 3600
    return f" (about {hours:.1f} more hours of one device)" if hours >= 0.1 else " (a few more minutes)"


def _caution(answer: Answer) -> str:
    if not answer.cautions:
        return answer.note and f"Note: {answer.note}."
    return f"Caution: {', '.join(f'`{name}`' for name in answer.cautions)} reaches the best cell as well."


def _nothing_learned(answer: Answer) -> str:
    return (
        f"Nothing was learned on {answer.target} that these runs can show: the best mean, of "
        f"{_name(answer.best)} ({answer.network}; {_score(answer)}), does not exceed the trivial predictor, "
        f"{answer.trivial:.1f} %. So no initialization can be chosen. Likely causes: too few training steps "
        "(a larger budget trains longer), too few test images for so small a difference, labels or masks "
        "that do not belong to the images, a size at which the images no longer show the classes, or classes "
        "that these images do not show."
    )
