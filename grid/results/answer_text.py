"""Answers as text: one paragraph each, and one line of what frozen probes say."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from grid.results.comparisons import MARGIN
from grid.results.controls import RANDOM_NETWORKS, Control
from grid.results.display import METRIC_NAMES
from grid.results.groups import FEW_ITEMS, SINGLE_ITEM
from grid.space.trials import RANDOM
from medpt.cli import count

if TYPE_CHECKING:
    import pandas as pd

    from grid.results.answer import Answer, Gain

ROUNDED_TO_1 = 0.9995  # probabilities from here on, written with three digits


def describe(answer: Answer, out: str = "") -> str:
    """Write the answer as one paragraph.

    `out` is the option of grid.predict that names the store; none in pages that others read.
    """
    if not answer.learned:
        return " ".join([_nothing_learned(answer), _tested(answer)])
    parts = [_best(answer)]
    if answer.over_random:
        parts.append(f"Its gain over random weights is {_gain_text(answer.over_random, answer)}.")
    if answer.over_second:
        second = _name(answer.over_second.over)
        above = "They are" if answer.best == RANDOM else "It is"
        parts.append(f"{above} above the next, {second}, by {_gain_text(answer.over_second, answer)}.")
    if answer.comparisons == 0 and answer.initializations > 1:
        what = f"need a defined {answer.metric}" if answer.undefined else "have to be finished"
        parts.append(f"Random weights and another initialization {what} for a comparison.")
    parts += [_tested(answer), _would_decide(answer), _caution(answer), _use(answer, out)]
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
    if answer.initializations > 1 and not (answer.over_random or answer.over_second):
        only = f"one with a defined {answer.metric}," if answer.undefined else "finished one"
        return f"{_first(answer.best)} {'are' if plural else 'is'} the only {only} {of}."
    if not answer.ties:
        return f"{_first(answer.best)} {'are' if plural else 'is'} the best {of}."
    it = "them" if plural else "it"
    text = f"but {_listed(answer.ties)} cannot be distinguished from {it}"
    return f"{_first(answer.best)} {'have' if plural else 'has'} the highest mean {of}, {text}."


def _listed(labels: Sequence[str]) -> str:
    *first, last = map(_name, labels)
    return f"{', '.join(first)} and {last}" if first else last


def _gain_text(gain: Gain, answer: Answer) -> str:
    """Write `+4.3 points [1.2, 7.4]: better (P 0.998)`."""
    points = f"{gain.value:+.1f} points"
    if isnan(gain.low):
        return f"{points}, without an interval: undecided"
    corrected = f", corrected for {answer.comparisons} comparisons" if answer.comparisons > 1 else ""
    excludes_zero = gain.low > 0 or gain.high < 0
    uncertain = f", not certain enough{corrected}" if corrected and excludes_zero else ""
    words = {
        "better": f"better ({_probability(gain.p_better)}{corrected})",
        "worse": f"worse ({_probability(1 - gain.p_better)}{corrected})",
        "equivalent": f"equivalent within {MARGIN:g} point",
        "undecided": f"undecided (P(better) {gain.p_better:.2f}{uncertain})",
    }
    return f"{points} [{gain.low:.1f}, {gain.high:.1f}]: {words[gain.verdict]}"


def _probability(p: float) -> str:
    return "P > 0.999" if p >= ROUNDED_TO_1 else f"P {p:.3f}"


def _tested(answer: Answer) -> str:
    """Say what the answer rests on: `Tested on 60 images of 34 patients in each split; 15 of 20 runs ...`."""
    items = "an unknown number of images" if answer.images is None else count(answer.images, "image")
    people = f" of {count(answer.patients, 'patient')}" if answer.patients else ""
    each = " in each split" if answer.repeats == "split" else ""
    runs = f"{answer.finished} of {count(answer.planned, 'run')} {'is' if answer.finished == 1 else 'are'}"
    without = f", {answer.undefined:,} of them without a defined {answer.metric}" if answer.undefined else ""
    return f"Tested on {items}{people}{each}; {runs} finished{without}."


def _would_decide(answer: Answer) -> str:
    """Say what would decide the gain over random weights, or over the next one, and what that costs."""
    gain = next((g for g in (answer.over_random, answer.over_second) if g and g.verdict == "undecided"), None)
    if gain is None or isnan(gain.decidable):
        needed = "test images" if answer.note in (FEW_ITEMS, SINGLE_ITEM) else "runs"
        return "" if gain is None else f"More {needed} are needed for an interval."
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
    """Write the hours of one device that the repeats of both cells take beyond those that are finished."""
    if isnan(answer.seconds):
        return ""
    hours = 2 * max(0, repeats - len(answer.digests)) * answer.seconds / 3600
    return f" (about {hours:.1f} more hours of one device)" if hours >= 0.1 else " (a few more minutes)"


def _caution(answer: Answer) -> str:
    if not answer.cautions:
        return answer.note and f"Note: {answer.note}."
    verb = "reaches" if len(answer.cautions) == 1 else "reach"
    return f"Caution: {', '.join(f'`{name}`' for name in answer.cautions)} {verb} the best cell as well."


def _use(answer: Answer, out: str) -> str:
    """Write how to train with the best initialization and how to apply its networks to new images."""
    parts = []
    if answer.initialization != RANDOM:
        parts.append(f'To train with it: `initialization: ["{answer.initialization}"]` in a space file.')
    if answer.predict:
        command = " ".join(filter(None, ["medpt-grid predict", answer.predict, out, "IMAGES --to DIR"]))
        parts.append(f"To apply its networks to new images: `{command}`.")
    return " ".join(parts)


def _nothing_learned(answer: Answer) -> str:
    return (
        f"Nothing was learned on {answer.target} that these runs can show: the best mean, of "
        f"{_name(answer.best)} ({answer.network}; {_score(answer)}), does not exceed the trivial predictor, "
        f"{answer.trivial:.1f} %. So no initialization can be chosen. Likely causes: too few training steps "
        "(a larger budget trains longer), too few test images for so small a difference, labels or masks "
        "that do not belong to the images, a size at which the images no longer show the classes, or classes "
        "that these images do not show."
    )


def describe_probes(frame: pd.DataFrame) -> list[str]:
    """Say what a linear model on each initialization's frozen features scores; nothing without probes."""
    found: Sequence[Control] = frame.attrs.get("probes", ())
    if not found or not len(frame):
        return []
    metric = frame["headline"].iloc[0]
    random = [c for c in frame.attrs.get("controls", ()) if c.name == RANDOM_NETWORKS]
    ordered = sorted([*found, *random], key=lambda control: -control.mean(metric))
    parts = [f"{'random' if c.name == RANDOM_NETWORKS else c.name} {_probed(c, metric)}" for c in ordered]
    name = METRIC_NAMES.get(metric, metric)
    return [f"Frozen encoders, each with a linear model (one split, {name}): {', '.join(parts)}."]


def _probed(control: Control, metric: str) -> str:
    deviation = control.std(metric)
    spread = "" if isnan(deviation) else f" ± {deviation:.1f} ({control.networks} networks)"
    return f"{control.mean(metric):.1f} %{spread}"
