"""Units that read what a test holds in memory, and write into its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medpt.data.arrays import Loader
from medpt.specs import Pretrain
from medpt.survival.cohort import Cohort
from medpt.trained_network import TrainedNetwork
from medpt.units import pretrain
from medpt.units.base import Job, StartingSpec, Weights


@dataclass(frozen=True)
class MemoryInputs:
    """Inputs by digest; every unit starts from the weights `after`, which were trained from `before`."""

    loaders: Mapping[str, Loader] = field(default_factory=dict)
    cohorts: Mapping[str, Cohort] = field(default_factory=dict)
    matrices: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)  # of features
    after: Weights | None = None
    before: Weights = field(default_factory=dict)
    networks: Mapping[str, TrainedNetwork] = field(default_factory=dict)

    def loader(self, digest: str) -> Loader:
        return self.loaders[digest]

    def cohort(self, digest: str) -> Cohort:
        return self.cohorts[digest]

    def features(self, digest: str) -> NDArray[np.floating]:
        return self.matrices[digest]

    def weights(self, spec: StartingSpec) -> Weights | None:
        return self.after

    def network(self, digest: str, device: str) -> TrainedNetwork:
        return self.networks[digest]

    def initial_weights(self, spec: StartingSpec) -> Weights:
        return self.before


def job_in(folder: Path, **options: Any) -> Job:
    """Return a job that writes to `folder`/out and `folder`/checkpoints."""
    return Job(folder / "out", folder / "checkpoints", **options)


def run_pretrain(spec: Pretrain, loaders: Sequence[Loader], folder: Path, **options: Any) -> dict[str, float]:
    """Pre-train on `loaders`, instead of the data that `spec` names."""
    names = tuple(f"data {number}" for number in range(len(loaders)))
    inputs = MemoryInputs(dict(zip(names, loaders, strict=True)))
    return pretrain.run(replace(spec, data=names), inputs, job_in(folder, **options))
