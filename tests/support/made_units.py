"""Units and plans that tests of the scheduling make up."""

from collections.abc import Iterable

from grid.plan.plan import Plan, Unit
from medpt.specs import Finetune, Prepare, Slides


def trial_unit(number: int, needs: Iterable[Unit] = (), architecture: str = "unet") -> Unit:
    """Return a unit that computes; units with different numbers have different digests."""
    spec = Finetune("random", None, "DRIVE", "d", "resnet18", architecture, seed=number)
    return Unit(spec, tuple(unit.digest for unit in needs), f"{architecture} {number}")


def data_unit(number: int, needs: Iterable[Unit] = (), kind: str = "prepare") -> Unit:
    """Return a unit that prepares images, or slides."""
    images = Prepare("DRIVE", str(number), "resize(8)")
    spec = images if kind == "prepare" else Slides("TCGA-GBM", str(number))
    return Unit(spec, tuple(unit.digest for unit in needs), f"{kind} {number}")


def plan_of(units: Iterable[Unit], name: str = "made") -> Plan:
    return Plan(name, "", (), (), {unit.digest: unit for unit in units})
