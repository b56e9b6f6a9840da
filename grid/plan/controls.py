"""The controls of a space's targets, and frozen probes of their initializations.

Controls are two cheap units a target, random networks and predictors that see no images (docs/statistics.md),
which depend on its data alone: spaces share them. A probe is a linear model on the frozen features of an
initialization; its result is known before anything is trained.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from grid.plan.initialization import trial_request
from grid.space.trials import RANDOM, Trial
from medpt import extensions
from medpt.grouping import grouped
from medpt.specs import NO_NETWORK, ImageFree, Probe
from medpt.survival.registry import SURVIVAL_MODELS

if TYPE_CHECKING:
    from grid.plan.planner import Planner

NOT_PROBED = (RANDOM, NO_NETWORK)
NETWORKS = {"segmentation": 5, "survival": 5}  # random ones, by task
MOST_NETWORKS = 20  # of other tasks


def control_networks(task: str) -> int:
    """Return how many random networks the control of a task has, unless the space says otherwise."""
    return NETWORKS.get(task, MOST_NETWORKS)


def add_controls(planner: "Planner", trials: Sequence[Trial]) -> tuple[str, ...]:
    """Plan the controls of the targets whose space asks for them, and return their digests.

    Of repeated splits of images the first has them. Those of slides are tested on the splits of all seeds.
    """
    of_images = (
        digest
        for trial in _controlled(trials)
        for digest in (_image_free(planner, trial), _random_networks(planner, trial))
    )
    return tuple(dict.fromkeys([*of_images, *_slide_controls(planner, trials)]))


def _slide_controls(planner: "Planner", trials: Iterable[Trial]) -> Iterator[str]:
    controlled = (trial for trial in trials if trial.settings.controls and trial.task == "survival")
    by_data = grouped(controlled, lambda trial: planner.add_slides(trial.target, trial.settings))
    for data, own in by_data.items():
        target, splits = own[0].target, tuple(sorted({trial.seed for trial in own}))
        yield planner.add(ImageFree(target, data, splits=splits), f"{target} without its slides")
        reading = (trial for trial in own if SURVIVAL_MODELS[trial.architecture].inputs.network)
        for trial in {trial.backbone: trial for trial in reading}.values():
            spec = replace(_probe_of_random_networks(trial, data), splits=splits)
            yield planner.add(spec, f"random networks → {target} · {trial.backbone}")


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
    spec = _probe_of_random_networks(trial, planner.add_target(trial_request(trial)))
    return planner.add(spec, f"random networks → {trial.target} · {trial.backbone}")


def _probe_of_random_networks(trial: Trial, data: str) -> Probe:
    return Probe(
        initialization=RANDOM,
        weights=None,
        dataset=trial.target,
        data=data,
        backbone=trial.backbone,
        networks=trial.settings.random_networks or control_networks(trial.task),
        extensions=extensions.versions(backbone=trial.backbone),
        evaluate_by=trial.settings.card(trial.target).evaluate_by,
    )
