"""How experiments, runs and final metrics are called in MLflow, and how metrics are read back."""

from collections.abc import Mapping

from grid.plan.plan import Unit
from grid.space.trials import Trial, network_id
from medpt.specs import CLASSIFIER, Evaluate, Finetune, Frozen, Pretrain, Survive

EXPERIMENT = "medpt-grid"  # before the name of a space; up to version 0.3.1 the only experiment with runs
DATA = "medpt-grid data"  # preparations of data, which spaces share
PLANS = "medpt-grid plans"  # one run per space
TEST, RESULT = "test_", "result."  # before a score on the test set, and before every other final metric
COMMIT = "mlflow.source.git.commit"  # tag of a run: the commit of the driver that ran it
SUBGROUPS = "/"  # between a score, a column and its value: `test_macro_auc/sex/F`
NO_SCORES = (
    *("steps", "best_step", "steps_to_95", "dense_steps_to_95", "seconds", "images_seen"),
    *("removed_images", "images_of_source"),
)


def experiment_name(space: str) -> str:
    """Return the name of the experiment that has the runs of a space."""
    return f"{EXPERIMENT}/{space}"


def run_name(unit: Unit) -> str:
    """Return the network, source, target and seed of a training, in this order; else the unit's label.

    What else the label has, such as a share of the target or a split, stands behind it.
    """
    spec = unit.spec
    if isinstance(spec, Finetune | Frozen):
        net = network_id(getattr(spec, "architecture", CLASSIFIER), spec.backbone)
        way, *rest = [part for part in unit.label.split(" · ") if part not in (net, str(spec.seed))]
        return " · ".join([net, way, f"seed {spec.seed}", *rest])
    if isinstance(spec, Pretrain):
        way, *rest = unit.label.split(" · ")
        return " · ".join([*rest, way, "pre-training"])
    return unit.label


def cell_name(trial: Trial) -> str:
    """Return the network, source and target that the trials of a cell have in common."""
    share = "" if trial.target_size == 1 else f" · {trial.target_size:.0%}"
    return f"{network_id(trial.architecture, trial.backbone)} · {trial.label} → {trial.target}{share}"


def metric_name(unit: Unit, name: str) -> str:
    """Return what a final metric of a unit is called: `test_auc` of a score on the test set."""
    scores = isinstance(unit.spec, Evaluate | Finetune | Frozen | Survive) and not name.startswith("val_")
    return f"{TEST if scores and name not in NO_SCORES else RESULT}{name}"


def final_metrics(recorded: Mapping[str, float]) -> dict[str, float]:
    """Return the final metrics of a run by their own names, without those of subgroups.

    Up to version 0.3.1 all began with `result.`.
    """
    return {
        name.removeprefix(prefix): value
        for name, value in recorded.items()
        for prefix in (RESULT, TEST)
        if name.startswith(prefix) and SUBGROUPS not in name
    }
