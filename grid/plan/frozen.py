"""Units of trials that train no network: features of a frozen encoder, which modes, sizes and seeds share."""

from typing import TYPE_CHECKING

from grid.plan.initialization import PretrainRequest, trial_request
from grid.space.protocols import describe_factors
from grid.space.trials import PAPER_METRICS, RANDOM, Trial
from medpt import extensions
from medpt.specs import Frozen, ImageFeatures

if TYPE_CHECKING:
    from grid.plan.planner import Planner


def add_frozen(planner: "Planner", trial: Trial) -> str:
    """Plan the evaluation of a frozen encoder on a classification target, and return its digest."""
    request = trial_request(trial)
    data = planner.add_target(request)
    weights = planner.guarded_weights(request, data)
    protocol = trial.settings.finetune
    spec = Frozen(
        initialization=request.spec_name,
        weights=weights,
        dataset=trial.target,
        data=data,
        features=_add_features(planner, trial, request, (data, weights)),
        backbone=trial.backbone,
        mode=trial.settings.mode,  # type: ignore[arg-type]  # a fine-tuning is not planned here
        target_size=trial.target_size,
        seed=trial.seed,
        validation_fraction=protocol.validation_fraction,
        metric=None if trial.headline == PAPER_METRICS[trial.task] else trial.headline,
        evaluate_by=trial.settings.card(trial.target).evaluate_by,
    )
    share = f" {trial.target_size:.0%}" if trial.target_size < 1 else ""
    net = " · ".join([trial.backbone, *describe_factors(trial.settings)])
    return planner.add(
        spec, f"{request.numbered_label} → {request.numbered_target}{share} · {net} · {trial.seed}"
    )


def _add_features(
    planner: "Planner", trial: Trial, request: PretrainRequest, inputs: tuple[str, str | None]
) -> str:
    """Plan the features of a trial. Those of random weights differ by seed; others are shared."""
    (data, weights), seed = inputs, trial.seed if trial.initialization == RANDOM else 0
    spec = ImageFeatures(
        initialization=request.spec_name,
        weights=weights,
        dataset=trial.target,
        data=data,
        backbone=trial.backbone,
        seed=seed,
        precision="bf16" if trial.settings.finetune.precision == "bf16" else None,
        extensions=extensions.versions(backbone=trial.backbone),
        normalisation=request.normalisation,
    )
    varied = [text for text in describe_factors(trial.settings) if not text.startswith("mode ")]
    drawn = [str(seed)] if trial.initialization == RANDOM else []
    name = f"{request.numbered_label} features of {request.numbered_target}"
    return planner.add(spec, " · ".join([name, trial.backbone, *varied, *drawn]))
