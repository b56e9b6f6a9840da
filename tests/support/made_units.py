"""Units and plans that tests of the scheduling make up."""

from collections.abc import Iterable
from typing import Any

from grid.plan.plan import Plan, Unit
from grid.store.records import Marker
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


def marker(digest: str, **values: Any) -> Marker:
    """Return the marker of a first attempt; `values` replace its fields."""
    fixed = {"kind": "finetune", "spec": {}, "needs": (), "label": "made", "version": 1, "metrics": {}}
    times = {"host": "made", "attempt": 1, "started": 0.0, "ended": 1.0}
    return Marker(digest=digest, **{**fixed, **times, **values})


def plan_of(units: Iterable[Unit], name: str = "made") -> Plan:
    return Plan(name, "", (), (), {unit.digest: unit for unit in units})
