"""The controls of a space's targets, as the store has them: scores without images or without training."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan, sqrt

from grid.plan.plan import Plan
from grid.results.stored_results import StoredResults
from grid.space.trials import RANDOM
from grid.store.store import Store
from medpt.specs import ImageFree, Probe

TRIVIAL, RANDOM_NETWORKS = "trivial predictor", "random networks, frozen"
CHOSEN = "image_free.json"


@dataclass(frozen=True)
class Control:
    """What one control scored on a target's test set, as fractions by metric.

    It belongs to the trials in `digests`: those that are tested on the same prepared data, with the same
    backbone if it has one. `deviations` are over `networks` random networks; empty for one score.
    """

    name: str
    target: str
    backbone: str
    digests: frozenset[str]
    scores: Mapping[str, float]
    deviations: Mapping[str, float]
    networks: int = 1

    def mean(self, metric: str) -> float:
        """Return the score in per cent, the mean over networks; nan where it is undefined."""
        return 100 * self.scores.get(metric, nan)

    def std(self, metric: str) -> float:
        """Return the standard deviation over networks (ddof 1), in points; nan for one score."""
        return 100 * self.deviations.get(metric, nan)

    def reach(self, metric: str) -> float:
        """Half the width of the 95 % prediction interval of one more network, in points; 0 for one score.

        It is t(n - 1) SD sqrt(1 + 1/n).
        """
        from scipy import special

        if isnan(self.std(metric)):
            return 0.0
        quantile = float(special.stdtrit(self.networks - 1, 0.975))
        return quantile * self.std(metric) * sqrt(1 + 1 / self.networks)


def read(plan: Plan, store: Store) -> list[Control]:
    """Return the finished controls of a plan, in its order."""
    return _read(plan, store, [digest for digest in plan.controls if not _is_probe(plan, digest)])


def probes(plan: Plan, store: Store) -> list[Control]:
    """Return the finished probes of a plan's initializations, each named by its initialization."""
    return _read(plan, store, [digest for digest in plan.controls if _is_probe(plan, digest)])


def _is_probe(plan: Plan, digest: str) -> bool:
    """Whether a unit says something of an initialization; frozen random networks are a control."""
    spec = plan.units[digest].spec if digest in plan.units else None
    return isinstance(spec, Probe) and spec.initialization != RANDOM


def _read(plan: Plan, store: Store, digests: Sequence[str]) -> list[Control]:
    results = StoredResults.read(store, set(digests))
    found: list[Control] = []
    for digest in digests:
        if digest in results.markers:
            found += _controls(plan, digest, dict(results.markers[digest].metrics), store)
    return found


def _controls(plan: Plan, digest: str, metrics: dict[str, float], store: Store) -> Iterator[Control]:
    spec = plan.units[digest].spec
    if isinstance(spec, Probe):
        scores = {name: value for name, value in metrics.items() if not name.endswith("_std")}
        deviations = {name.removesuffix("_std"): v for name, v in metrics.items() if name.endswith("_std")}
        trials = _trials(plan, spec.data, spec.backbone)
        networks = spec.networks
        name = RANDOM_NETWORKS if spec.initialization == RANDOM else plan.initialization_of(spec)
        yield Control(name, spec.dataset, spec.backbone, trials, scores, deviations, networks)
    elif isinstance(spec, ImageFree):
        prefix, trials = "trivial_", _trials(plan, spec.data)
        scores = {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}
        yield Control(TRIVIAL, spec.dataset, "", trials, scores, {})
        scores = {name: value for name, value in metrics.items() if not name.startswith(prefix)}
        yield Control(f"without images: {_chosen(store, digest)}", spec.dataset, "", trials, scores, {})


def _trials(plan: Plan, data: str, backbone: str = "") -> frozenset[str]:
    """Return the digests of the trials on prepared data, with a backbone if one is given."""
    units = ((digest, plan.units[digest].spec) for _, digest in plan.trials if digest in plan.units)
    return frozenset(
        digest
        for digest, spec in units
        if getattr(spec, "data", "") == data and backbone in ("", getattr(spec, "backbone", ""))
    )


def _chosen(store: Store, digest: str) -> str:
    """Return the number that the predictor reads; a file that is damaged or not here names none."""
    try:
        return str(json.loads(store.artifact(digest, CHOSEN).read_text(encoding="utf-8"))["chosen"])
    except (OSError, ValueError, KeyError):
        return "unknown"
