"""How runs and their final metrics are called in MLflow, and how they are read back."""

from collections.abc import Mapping

from grid.plan.plan import Unit
from medpt.specs import CLASSIFIER, Finetune, Pretrain, Survive

TEST, RESULT = "test_", "result."  # before a score on the test set, and before every other final metric
NO_SCORES = ("steps", "best_step", "steps_to_95", "seconds", "images_seen")


def run_name(unit: Unit) -> str:
    """Return the network, source, target and seed of a training, in this order; else the unit's label.

    What else the label has, such as a share of the target or a split, stands behind it.
    """
    spec = unit.spec
    if isinstance(spec, Finetune):
        net = spec.backbone if spec.architecture == CLASSIFIER else f"{spec.architecture}/{spec.backbone}"
        way, *rest = [part for part in unit.label.split(" · ") if part not in (net, str(spec.seed))]
        return " · ".join([net, way, f"seed {spec.seed}", *rest])
    if isinstance(spec, Pretrain):
        way, *rest = unit.label.split(" · ")
        return " · ".join([*rest, way, "pre-training"])
    return unit.label


def metric_name(unit: Unit, name: str) -> str:
    """Return what a final metric of a unit is called: `test_auc` of a score on the test set."""
    scores = isinstance(unit.spec, Finetune | Survive) and not name.startswith("val_")
    return f"{TEST if scores and name not in NO_SCORES else RESULT}{name}"


def final_metrics(recorded: Mapping[str, float]) -> dict[str, float]:
    """Return the final metrics of a run by their own names; up to version 0.3.1 all began with `result.`."""
    return {
        name.removeprefix(prefix): value
        for name, value in recorded.items()
        for prefix in (RESULT, TEST)
        if name.startswith(prefix)
    }
