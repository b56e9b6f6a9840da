"""Questions to a space's trials: what an initialization gains, which source is best, what more images buy.

All take the frame of grid.results.load and the name of a metric, and give a frame with a row an answer, in
points (per cent). Each unit of work counts once, seeds are paired, and every row says of how many seeds it is
made. The intervals are of repeated fine-tuning: a source has one pre-training, which its seeds share.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grid.results import statistics
from grid.results.frame import with_metric
from grid.space.trials import RANDOM
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PLACE = ("architecture", "backbone", "target", "target_size")  # where initializations compete
FACTORS = (*PLACE, "experiment")  # what effects may be told by
Values = dict[int, float]  # by seed, in points


def effects(frame: "pd.DataFrame", metric: str, by: Sequence[str] = ("architecture",)) -> "pd.DataFrame":
    """What each initialization gains over random weights, for each combination of the factors `by`.

    The gain is the mean over places (network, target, share of the target) of the mean over seeds of paired
    differences; [low, high] is its 95 % interval for these places (Satterthwaite), nan where a place has one
    seed. p is two-sided, `p_holm` corrected over all rows. `places` counts those with both sides, `of` all;
    `n` counts pairs of seeds, `planned` what the space asked for.
    """
    import pandas as pd

    for key in by:
        if key not in FACTORS:
            raise InputError(f"--by {key}: effects are told by {', '.join(FACTORS)}")
    rows = [
        dict(zip(by, names, strict=True)) | row
        for names, group in _groups(with_metric(frame, metric, by), by)
        for row in _effects(group, metric)
    ]
    table = pd.DataFrame(rows)
    if len(table):
        table["p_holm"] = statistics.holm(table["p"])
    return table


def _effects(group: "pd.DataFrame", metric: str) -> Iterator[dict[str, Any]]:
    places = [_by_initialization(part, metric) for _, part in _groups(group, PLACE)]
    for name in dict.fromkeys(name for place in places for name in place if name != RANDOM):
        there = [place for place in places if name in place]
        pairs = [_differences(place[name], place.get(RANDOM, {})) for place in there]
        pairs = [differences for differences in pairs if differences]
        found = statistics.mean_of_means(pairs)
        yield {
            "initialization": name,
            "effect": found.estimate,
            "low": found.low,
            "high": found.high,
            "p": statistics.mean_of_means_test(pairs).p,
            "places": len(pairs),
            "of": len(places),
            "n": sum(map(len, pairs)),
            "planned": sum(len(place[name]) for place in there),
        }


def best(frame: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """The initialization with the highest mean in each place, and how sure that is.

    `probability` is its share of paired bootstrap resamples of the seeds that all candidates have (`n` of
    `planned`); `gap` is what it is ahead of the second, with Student's 95 % interval of paired differences.
    Candidates without a finished seed are counted in `waiting`. nan where there is nothing to compare.
    """
    import pandas as pd

    rows = [
        dict(zip(PLACE, names, strict=True)) | _best(_by_initialization(group, metric))
        for names, group in _groups(with_metric(frame, metric), PLACE)
    ]
    return pd.DataFrame(rows)


def _best(place: Mapping[str, Values]) -> dict[str, Any]:
    finished = {name: _finished(values) for name, values in place.items()}
    racing = {name: values for name, values in finished.items() if values}
    common = sorted(set.intersection(*map(set, racing.values()))) if racing else []
    facts = {"n": len(common), "planned": max(map(len, place.values())), "waiting": len(place) - len(racing)}
    unknown = dict.fromkeys(("mean", "probability", "gap", "low", "high"), math.nan)
    if not common:
        return {"best": None, "second": None} | unknown | facts
    scores = [[values[seed] for seed in common] for values in racing.values()]
    shares = dict(zip(racing, statistics.probability_of_best(scores), strict=True))
    means = {name: sum(row) / len(row) for name, row in zip(racing, scores, strict=True)}
    first, *rest = sorted(means, key=lambda name: -means[name])
    row = {"best": first, "mean": means[first], "probability": shares[first]}
    if not rest:
        return unknown | row | {"second": None, "probability": math.nan} | facts
    gap = statistics.mean_interval([racing[first][seed] - racing[rest[0]][seed] for seed in common])
    return row | {"second": rest[0], "gap": gap.estimate, "low": gap.low, "high": gap.high} | facts


def sample_size(frame: "pd.DataFrame", metric: str) -> "pd.DataFrame":
    """What a doubling of a source's images adds, for each source with at least two sizes in a place.

    The slope of the means over seeds on log2 of the size, with its 95 % interval: each size is one
    pre-training, so sizes are the repeats, not seeds; nan below three. Sources taken whole have no size.
    """
    import pandas as pd

    sized = frame[frame["sample_size"].notna()]
    rows = [
        dict(zip(("source", *PLACE), names, strict=True)) | row
        for names, group in _groups(with_metric(sized, metric), ("source", *PLACE))
        if (row := _slope(group, metric))
    ]
    return pd.DataFrame(rows)


def _slope(group: "pd.DataFrame", metric: str) -> dict[str, Any] | None:
    finished = group[group[metric].notna()]
    means = 100 * finished.groupby("sample_size")[metric].mean().sort_index()
    if len(means) < 2:
        return None
    found = statistics.slope([math.log2(size) for size in means.index], means.to_list())
    limits = {"per_doubling": found.estimate, "low": found.low, "high": found.high}
    span = {"smallest": int(means.index[0]), "largest": int(means.index[-1]), "sizes": len(means)}
    return limits | span | {"n": len(finished), "planned": len(group)}


def _groups(frame: "pd.DataFrame", by: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], "pd.DataFrame"]]:
    for names, group in frame.groupby(list(by), sort=False, dropna=False):
        yield (names if isinstance(names, tuple) else (names,)), group


def _by_initialization(group: "pd.DataFrame", metric: str) -> dict[str, Values]:
    """Points by seed, nan where a seed is not finished."""
    found: dict[str, Values] = {}
    for name, seed, value in zip(group["initialization"], group["seed"], group[metric], strict=True):
        found.setdefault(name, {})[seed] = 100 * float(value)
    return found


def _finished(values: Values) -> Values:
    return {seed: value for seed, value in values.items() if not math.isnan(value)}


def _differences(first: Values, second: Values) -> list[float]:
    """Of the seeds that both have finished."""
    theirs = _finished(second)
    return [value - theirs[seed] for seed, value in _finished(first).items() if seed in theirs]
