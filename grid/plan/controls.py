"""The controls of a space's targets, and frozen probes of their initializations.

Controls are two cheap units a target, random networks and predictors that see no images (docs/statistics.md),
which depend on its data alone: spaces share them. A probe is a linear model on the frozen features of an
initialization; its result is known before anything is trained.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from grid.plan.initialization import trial_request
from grid.space.trials import RANDOM, Trial
from medpt import extensions
from medpt.specs import NO_NETWORK, ImageFree, Probe

if TYPE_CHECKING:
    from grid.plan.planner import Planner

NOT_PROBED = (RANDOM, NO_NETWORK)
NETWORKS = {"segmentation": 5}  # by task, unless the space says otherwise; of other tasks
MOST_NETWORKS = 20


def add_controls(planner: "Planner", trials: Iterable[Trial]) -> tuple[str, ...]:
    """Plan the controls of the targets whose space asks for them, and return their digests.

    Targets of slides have none: their features and splits differ by seed already. Of repeated splits the
    first has them.
    """
    return tuple(
        dict.fromkeys(
            digest
            for trial in _controlled(trials)
            for digest in (_image_free(planner, trial), _random_networks(planner, trial))
        )
    )


def add_image_free(planner: "Planner", trials: Iterable[Trial]) -> None:
    """Plan the predictors that see no images: seconds of work that tell whether anything was learned."""
    for trial in _controlled(trials):
        _image_free(planner, trial)


def _controlled(trials: Iterable[Trial]) -> Iterator[Trial]:
    return (t for t in trials if t.settings.controls and t.task != "survival" and not t.fold)


def add_probes(planner: "Planner", trials: Iterable[Trial]) -> tuple[str, ...]:
    """Plan a probe of each initialization, on the first of repeated splits, and return their digests.

    Random weights have theirs among the controls.
    """
    wanted = (t for t in trials if t.initialization not in NOT_PROBED and t.task != "survival")
    first = (t for t in wanted if not (t.fold or t.pretrain_seed))
    return tuple(dict.fromkeys(_probe(planner, trial) for trial in first))


def _probe(planner: "Planner", trial: Trial) -> str:
    request = trial_request(trial)
    data = planner.add_target(request)
    spec = Probe(
        initialization=request.spec_name,
        weights=planner.guarded_weights(request, data),
        dataset=trial.target,
        data=data,
        backbone=trial.backbone,
        extensions=extensions.versions(backbone=trial.backbone),
        normalisation=request.normalisation,
    )
    return planner.add(spec, f"{request.label}, frozen → {request.numbered_target} · {trial.backbone}")


def _image_free(planner: "Planner", trial: Trial) -> str:
    data = planner.add_target(trial_request(trial))
    by = trial.settings.card(trial.target).evaluate_by
    return planner.add(ImageFree(trial.target, data, by), f"{trial.target} without its images")


def _random_networks(planner: "Planner", trial: Trial) -> str:
    spec = Probe(
        initialization=RANDOM,
        weights=None,
        dataset=trial.target,
        data=planner.add_target(trial_request(trial)),
        backbone=trial.backbone,
        networks=trial.settings.random_networks or NETWORKS.get(trial.task, MOST_NETWORKS),
        extensions=extensions.versions(backbone=trial.backbone),
        evaluate_by=trial.settings.card(trial.target).evaluate_by,
    )
    return planner.add(spec, f"random networks → {trial.target} · {trial.backbone}")
