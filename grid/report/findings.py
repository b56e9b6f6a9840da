"""What a space found over all its targets, its coverage, and pre-trainings that did not learn: sentences."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from grid.report.tables import Contrast, signed
from grid.results.comparisons import MARGIN
from grid.results.display import column_name
from medpt.cli import count

STATES = {  # of a trial that is not finished, in words
    "failed": "failed",
    "blocked": "could not start because of a failed pre-training or preparation",
    "running": "started but did not end",
    "missing": "not run",
}

OUTCOMES = {
    "better": "is better than random weights in",
    "worse": "is worse than random weights in",
    "equivalent": f"is equivalent to random weights (within {MARGIN:g} point) in",
    "undecided": "cannot be distinguished from random weights in",
}
DIRECTIONS = ("better", "worse")


FLAT_TILES = 2 / 9
NEAR_CHANCE = 2.0


def coverage(states: Counter[str], rows: int, analyses: tuple[int, int] = (0, 0)) -> str:
    """How many of the planned trials are finished, and what became of the others; of analyses, (finished,
    planned). `rows` counts a trial again in every experiment that shares it."""
    return " ".join(filter(None, [_trials(states), _shared(states.total(), rows), _analyses(*analyses)]))


def _shared(trials: int, rows: int) -> str:
    return f"Experiments share trials: their tables list {rows:,} in all." if rows > trials else ""


def _analyses(finished: int, planned: int) -> str:
    if not planned:
        return ""
    return _finished(finished, planned, "analysis", "analyses")


def _trials(states: Counter[str]) -> str:
    if not (total := states.total()):
        return ""
    rest = [f"{states[state]:,} {text}" for state, text in STATES.items() if states[state]]
    if not rest:
        return _finished(total, total, "trial", "trials")
    return f"{states['finished']:,} of {count(total, 'trial')} finished; {', '.join(rest)}."


def _finished(finished: int, planned: int, one: str, several: str) -> str:
    if finished == planned:
        return f"The {one} is finished." if planned == 1 else f"All {planned:,} {several} are finished."
    return f"{finished:,} of {planned:,} {one if planned == 1 else several} finished."


def answer(found: Sequence[Contrast]) -> str:
    """The paragraph that answers the space's question over all its targets and networks."""
    compared = [contrast for contrast in found if contrast.verdict != "none"]
    if not compared:
        return (
            "No target has a finished seed both from random weights and from a pre-training: no comparison."
        )
    if len(compared) == 1:
        return _of_one(compared[0])
    verdicts = Counter(contrast.verdict for contrast in compared)
    parts = [
        f"{text} {'all' if len(verdicts) == 1 else verdicts[name]}{_sizes(name, compared)}"
        for name, text in OUTCOMES.items()
        if verdicts[name]
    ]
    text = (
        f"Over {count(len(compared), 'pair')} of target and network, the pre-training with the highest mean "
    )
    text += f"{_join(parts)}."
    among = Counter(label for contrast in compared for label in contrast.among_best)
    if not among:
        return text
    most = max(among.values())
    names = _join([name for name, number in among.items() if number == most])
    where = f"{names} ({most} of {len(compared)})"
    return f"{text} Most often among those that cannot be distinguished from the best: {where}."


def _sizes(verdict: str, compared: Sequence[Contrast]) -> str:
    """Return the range of the gains that have a verdict of a direction."""
    if verdict not in DIRECTIONS:
        return ""
    sizes = [f"{abs(c.gain):.1f}" for c in sorted(compared, key=_size) if c.verdict == verdict]
    return f" (by {' to '.join(dict.fromkeys((sizes[0], sizes[-1])))} points)"


def _size(contrast: Contrast) -> float:
    return abs(contrast.gain)


def headlines(found: Sequence[Contrast]) -> list[Contrast]:
    """Return the comparisons with a verdict, decided ones first, of each verdict the largest gain first."""
    order = list(OUTCOMES)
    compared = [contrast for contrast in found if contrast.verdict in order]
    return sorted(compared, key=lambda each: (order.index(each.verdict), -_size(each)))


def _of_one(contrast: Contrast) -> str:
    """Compare the best pre-training of the only network and target with random weights."""
    best = contrast.best.label if contrast.best else ""
    where = f"{column_name(*contrast.column)} ({contrast.network})"
    gain = f"{signed(contrast.gain)} points"
    return f"{best} {OUTCOMES[contrast.verdict].removesuffix(' in')} for {where}: {gain}."


def doubts(pretrained: Iterable[tuple[str, Mapping[str, float]]]) -> list[str]:
    """A sentence for each self-supervised pre-training, (label, metrics), that shows no sign of learning.

    Puzzles with more than FLAT_TILES of their tiles without contrast cannot be solved; an accuracy up to
    NEAR_CHANCE times that of guessing is none; swapped pixels are to come out nearer than they were left.
    """
    found = []
    for label, metrics in pretrained:
        accuracy, chance = metrics.get("val_accuracy"), metrics.get("chance")
        if (flat := metrics.get("flat_tiles", 0.0)) > FLAT_TILES:
            text = f"{label}: {flat:.0%} of the puzzles' tiles have no contrast; above {FLAT_TILES:.0%} "
            found.append(f"{text}they cannot be solved.")
        if accuracy is not None and chance and accuracy <= NEAR_CHANCE * chance:
            text = f"{label}: solves {accuracy:.1%} of held-out puzzles, where guessing solves {chance:.1%}: "
            found.append(f"{text}its weights say little of this method.")
        mse, left = metrics.get("val_mse_swapped"), metrics.get("val_mse_identity_swapped")
        if mse is not None and left is not None and mse >= left:
            text = (
                f"{label}: restores swapped pixels with an error of {mse:.3f}, leaving them has {left:.3f}: "
            )
            found.append(f"{text}its weights say little of this method.")
    return found


def duration(seconds: float) -> str:
    """In the unit that leaves a readable number: seconds, minutes or hours."""
    for limit, size, unit in ((120, 1, "seconds"), (7200, 60, "minutes")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:,.1f} hours"


def _join(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
