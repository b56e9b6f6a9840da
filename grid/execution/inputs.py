"""The inputs of a unit, from the store and the caches of its node; and the device that it runs on."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from grid.cluster.cpus import cpu_name
from grid.execution.allocation import usable_share
from grid.options import RunOptions
from grid.store.kept_networks import load_network
from grid.store.store import Store
from medpt.data.leakage import FilteredLoader, Leak, without_leaks
from medpt.errors import InputError
from medpt.models import torchvision_weights, weights
from medpt.models.weights_file import WeightsFile, load_encoder_state, read_weights_file
from medpt.specs import PUBLISHED_WEIGHTS, UnitSpec
from medpt.units.base import StartingSpec, Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medpt.data.arrays import Loader
    from medpt.survival.cohort import Cohort
    from medpt.trained_network import TrainedNetwork


@dataclass(frozen=True)
class StoreInputs:
    """The inputs of one unit (medpt.units.base.Inputs), as the store has them.

    `needs` are the digests of the unit's inputs; weights that are not among them were published. Loaders
    leave out the training images that `leaks` name.
    """

    store: Store
    options: RunOptions
    needs: tuple[str, ...]
    device: str = "cpu"
    leaks: tuple[Leak, ...] = ()

    def cache(self, digest: str) -> Path:
        """Return where this node keeps the arrays of prepared data."""
        return self.options.cache_folder(self.store) / digest

    @property
    def settings_cache(self) -> Path | None:
        """Where this node keeps the settings of training steps, by type of CPU; None: nothing is chosen."""
        name = re.sub(r"\W+", "-", cpu_name()).lower()
        folder = self.options.cache_folder(self.store) / "step-settings"
        return folder / f"{name}.json" if self.options.tune else None

    def loader(self, digest: str) -> "Loader":
        """Open prepared images. If they are damaged, mark the unit that prepared them as suspect."""
        from grid.preparation.loaders import open_loader

        try:
            loader: Loader = open_loader(
                self.store.fetch_all(digest), self.cache(digest), self.options.cache_bytes, self.device
            )
        except InputError:
            self.store.mark_suspect(digest)
            raise
        return FilteredLoader(loader, without_leaks(self.leaks, loader.index)) if self.leaks else loader

    def cohort(self, digest: str) -> "Cohort":
        from medpt.survival.cohort import open_cohort

        return open_cohort(self.store.fetch_all(digest), self.cache(digest))

    def features(self, digest: str) -> "NDArray[np.floating]":
        """Return features that are mapped from disk."""
        import numpy as np

        from medpt.units.features import FEATURES

        values: NDArray[np.floating] = np.load(
            self.store.artifact(digest, FEATURES), mmap_mode="r", allow_pickle=False
        )
        return values

    def weights(self, spec: StartingSpec) -> Weights | None:
        if spec.weights is None:
            return None
        if spec.weights in self.needs:
            return weights.load(self.store.artifact(spec.weights, "best.safetensors"))
        if spec.initialization == PUBLISHED_WEIGHTS:
            return _load_described(spec.weights, self.options)
        file = weights_file(self.options.imagenet_weights, spec.backbone)
        return torchvision_weights.published(spec.backbone, file)

    def network(self, digest: str, device: str) -> "TrainedNetwork":
        return load_network(self.store, digest, device)

    def initial_weights(self, spec: StartingSpec) -> Weights:
        if spec.weights in self.needs:
            return weights.load(self.store.artifact(spec.weights, "init.safetensors"))
        return weights.random_weights(spec.backbone, spec.seed)


def weights_file(folder: Path | None, backbone: str) -> Path | None:
    """Return torchvision's file of a backbone in the folder of --imagenet-weights, if one was given."""
    return folder / torchvision_weights.published_name(backbone) if folder else None


def _load_described(identity: str, options: RunOptions) -> Weights:
    return load_encoder_state(find_weights(identity, options))


def find_weights(identity: str, options: RunOptions) -> WeightsFile:
    """Return the description of published weights. Raises InputError if a run's files have none of these."""
    described = map(read_weights_file, map(Path, options.weights_files))
    found = next((each for each in described if each.identity == identity), None)
    if found is None:
        files = ", ".join(options.weights_files) or "no file"
        raise InputError(
            f"the weights {identity[:8]} are no longer described by {files}; run the space again"
        )
    return found


def check_weights(specs: Iterable[UnitSpec], options: RunOptions) -> None:
    """Raise InputError for all published weights that units start from and that cannot be loaded."""
    problems = []
    for load in _published_weights([spec for spec in specs if hasattr(spec, "initialization")], options):
        try:
            load()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def _published_weights(specs: Sequence[Any], options: RunOptions) -> Iterator[Callable[[], object]]:
    """Yield what loads the weights of each backbone of torchvision, and of each description."""
    folder = options.imagenet_weights
    for backbone in sorted({spec.backbone for spec in specs if spec.initialization == "imagenet*"}):
        yield partial(torchvision_weights.published, backbone, weights_file(folder, backbone))
    for identity in dict.fromkeys(s.weights for s in specs if s.initialization == PUBLISHED_WEIGHTS):
        yield partial(_load_described, identity, options)


def append_metrics(path: Path) -> Callable[[dict[str, float]], None]:
    """Return a function that appends rows of metrics to a file, for the tracker to read while a unit runs.

    The rows of an earlier execution are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # missing where the node's copy of a bucket is new
    path.unlink(missing_ok=True)

    def append(row: dict[str, float]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    return append


def open_device(gpu_share: float) -> str:
    """Limit PyTorch to one thread and to a share of the GPU, and return the device.

    Raises OSError if the GPU cannot be used: on a CPU the unit would take hours and hold the GPU.
    """
    import torch

    torch.set_num_threads(1)  # one CPU per trial, and the same sums on every machine
    if not gpu_share:
        return "cpu"
    if not torch.cuda.is_available():
        raise OSError(f"PyTorch can use no GPU on {gethostname()}, and the unit was given one of its GPUs")
    torch.cuda.empty_cache()
    size = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(usable_share(gpu_share, size))
    return "cuda"
