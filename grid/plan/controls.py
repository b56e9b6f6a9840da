"""The controls of a space's targets: random networks, and predictors that see no images.

They are two cheap units a target (docs/statistics.md), which depend on its data alone: spaces share them.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from grid.plan.initialization import trial_request
from grid.space.trials import RANDOM, Trial
from medpt import extensions
from medpt.specs import ImageFree, Probe

if TYPE_CHECKING:
    from grid.plan.planner import Planner

NETWORKS = {"segmentation": 5}  # else
MOST_NETWORKS = 20


def add_controls(planner: "Planner", trials: Iterable[Trial]) -> tuple[str, ...]:
    """Plan the controls of the targets whose space asks for them, and return their digests.

    Targets of slides have none: their features and splits differ by seed already. Of repeated splits the
    first has them.
    """
    wanted = (t for t in trials if t.settings.controls and t.task != "survival" and not t.fold)
    return tuple(dict.fromkeys(digest for trial in wanted for digest in _controls(planner, trial)))


def _controls(planner: "Planner", trial: Trial) -> Iterator[str]:
    data = planner.add_target(trial_request(trial))
    yield planner.add(ImageFree(trial.target, data), f"{trial.target} without its images")
    spec = Probe(
        initialization=RANDOM,
        weights=None,
        dataset=trial.target,
        data=data,
        backbone=trial.backbone,
        networks=NETWORKS.get(trial.task, MOST_NETWORKS),
        extensions=extensions.versions(backbone=trial.backbone),
    )
    yield planner.add(spec, f"random networks → {trial.target} · {trial.backbone}")
