"""What every kind of unit is given: its specification, what it reads, and where and how it runs.

`medpt/units/KIND.py` has `run(spec, inputs, job)`, which writes the unit's files and returns its metrics.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medpt.identity import stream_seed
from medpt.specs import UnitSpec

if TYPE_CHECKING:
    from torch import Tensor

    from medpt.data.arrays import Loader
    from medpt.survival.cohort import Cohort
    from medpt.tasks.base import StepSettings
    from medpt.trained_network import TrainedNetwork

Files = Mapping[str, Any]  # by name: the arrays of an .npz file, the value of a JSON document
Weights = Mapping[str, "Tensor"]  # a state dict; the encoder's tensors are `encoder.*`

SCAN_BATCH = 64
ITEMS = "items.npz"  # what the metrics of a unit are computed from, for each test item; without their ids


class StartingSpec(Protocol):
    """The specification of a unit that starts from weights."""

    @property
    def initialization(self) -> str: ...

    @property
    def weights(self) -> str | None: ...

    @property
    def backbone(self) -> str: ...

    @property
    def seed(self) -> int: ...


class Inputs(Protocol):
    """The finished units that a unit reads, by digest."""

    def loader(self, digest: str) -> "Loader":
        """Return the images of a dataset that was prepared."""

    def cohort(self, digest: str) -> "Cohort":
        """Return the patches of a cohort's slides and the follow-up of its patients."""

    def features(self, digest: str) -> NDArray[np.floating]:
        """Return the features of all patches of a cohort, (n, d)."""

    def weights(self, spec: StartingSpec) -> Weights | None:
        """Return the weights that `spec.weights` names, or None if it names none."""

    def network(self, digest: str, device: str) -> "TrainedNetwork":
        """Return the network that a fine-tuning kept. Raises InputError where it kept none."""

    def initial_weights(self, spec: StartingSpec) -> Weights:
        """Return the weights from which those of `spec.weights` were trained.

        For published weights, which come without them, return random ones that `spec.seed` draws.
        """


@dataclass(frozen=True)
class Job:
    """Where a unit writes its files and checkpoints, and how it runs.

    Training resumes from the newest checkpoint; whoever records the result removes the checkpoints.
    `on_metrics` is called with each row of the training history, after a resumption also with earlier ones,
    and `on_settings` at the end of a training with the settings of its steps.
    """

    folder: Path
    checkpoints: Path
    device: str = "cpu"
    checkpoint_seconds: float = 30.0
    on_metrics: Callable[[dict[str, float]], object] = lambda row: None
    keeps_network: bool = True  # of a fine-tuning; a pre-training always keeps its own
    settings_cache: Path | None = None  # of training steps; None: the usual settings, without a trial
    on_settings: Callable[["StepSettings"], object] = lambda settings: None


def run_unit(spec: UnitSpec, inputs: Inputs, job: Job) -> dict[str, float]:
    """Run the module of the specification's kind and return the metrics."""
    metrics: dict[str, float] = import_module(f"medpt.units.{spec.kind}").run(spec, inputs, job)
    return metrics


@dataclass(frozen=True)
class Tested:
    """What the metrics of a test depend on besides its items: the classes, and the headline metric."""

    classes: tuple[str, ...]
    headline: str


def stored_metrics(spec: UnitSpec, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return, by the name of a file, those metrics of a finished unit that the file determines.

    They are computed by the functions that the unit itself calls. Files that a unit does not have determine
    nothing, nor do those of kinds without `stored_metrics`.
    """
    module = None if spec.makes_data else import_module(f"medpt.units.{spec.kind}")
    determined = getattr(module, "stored_metrics", None)
    found: dict[str, dict[str, float]] = determined(spec, files, tested) if determined else {}
    return found


def sample_training_images(loader: "Loader", count: int, *names: str | int) -> NDArray[np.uint8]:
    """Return at most `count` training images (n, S, S, 3), drawn by `names`."""
    rows = loader.index.rows("train")
    if len(rows) > count:
        generator = np.random.default_rng(stream_seed(0, "sampled", *names))
        rows = np.sort(generator.permutation(rows)[:count])
    return np.concatenate([images.cpu().numpy() for images, _ in loader.scan(rows, SCAN_BATCH)])
