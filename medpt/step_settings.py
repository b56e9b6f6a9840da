"""The settings of a training step, chosen by a short trial at their first use and kept for this machine.

Which memory layout and which Adam are fastest depends on network, size, batch, precision and device. A trial
times every combination on a copy of the network. Results depend on the choice by rounding only; they are
equal to the last bit on one type of CPU with equal settings.
"""

import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from medpt.files import read_json, write_json
from medpt.protocol import TrainingProtocol
from medpt.tasks.base import StepSettings, TrainingSetup
from medpt.train import TrainingState

LEAST_STEPS = 500  # a shorter training is over before a trial pays off
TIMED_STEPS = 3  # of which the fastest counts, after one that is not timed
LEAST_GAIN = 1.05  # over the usual settings; less is not distinguishable from noise by so few steps
CANDIDATES = tuple(StepSettings(*switches) for switches in product((False, True), repeat=2))

Batch = tuple[Tensor, Tensor, Tensor, *tuple[int, ...]]  # of medpt.data.arrays.BatchSource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SettingsCache:
    """The chosen settings by what they were chosen for, in a JSON file of one machine.

    A damaged file counts as empty and is written anew, with a warning. Two processes that write at once both
    keep what they chose for their own training; the file has one of the two.
    """

    path: Path

    def read(self) -> dict[str, StepSettings]:
        """Return the settings by key."""
        try:
            return {key: StepSettings(**values) for key, values in read_json(self.path).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s); settings of steps are chosen anew", self.path, error)
            return {}

    def add(self, key: str, settings: StepSettings) -> None:
        """Keep the settings that were chosen for `key`."""
        known = self.read() | {key: settings}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {name: asdict(values) for name, values in sorted(known.items())})


def choose_settings(
    setup: TrainingSetup, protocol: TrainingProtocol, network: str, device: torch.device, cache: Path
) -> StepSettings:
    """Return the fastest settings for training `network`, from the cache or by a trial.

    A training of fewer than 500 steps gets the usual settings of the device.
    """
    if protocol.max_steps < LEAST_STEPS or not len(setup.train_rows):
        return StepSettings.usual(device.type)
    batch = next(setup.loader.batches(setup.train_rows, protocol.batch_size, 0))
    key = describe(network, batch[0], protocol, device)
    known = SettingsCache(cache)
    if (settings := known.read().get(key)) is None:
        settings = fastest(lambda candidate: seconds(candidate, setup, protocol, device, batch), device)
        known.add(key, settings)
        log.info("%s: %s", key, settings)
    return settings


def describe(network: str, images: Tensor, protocol: TrainingProtocol, device: torch.device) -> str:
    """Name what the fastest settings depend on; the type of the CPU is in the name of the cache."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    size = "x".join(map(str, images.shape[:-1]))
    step = " ".join(filter(None, (protocol.precision or "fp32", protocol.optimizer, protocol.freeze)))
    return f"{network} {size} {step} {name}, torch {torch.__version__}"


def fastest(seconds: Callable[[StepSettings], float], device: torch.device) -> StepSettings:
    """Return the candidate that takes the least time, or the usual settings if it gains less than 5 %."""
    times = {candidate: seconds(candidate) for candidate in CANDIDATES}
    best, usual = min(times, key=times.__getitem__), StepSettings.usual(device.type)
    return best if times[usual] >= LEAST_GAIN * times[best] else usual


def seconds(
    settings: StepSettings,
    setup: TrainingSetup,
    protocol: TrainingProtocol,
    device: torch.device,
    batch: Batch,
) -> float:
    """Return the time of the fastest of a few steps on a copy of the network.

    On a CPU it is processor time, which other processes on the machine hardly affect.
    """
    copied = replace(setup, model=deepcopy(setup.model), settings=settings)
    state = TrainingState.start(copied, protocol, device)
    return min([step_seconds(state, batch) for _ in range(1 + TIMED_STEPS)][1:])


def step_seconds(state: TrainingState, batch: Batch) -> float:
    if state.device.type != "cuda":
        start = time.process_time()
        state.train(*batch)
        return time.process_time() - start
    torch.cuda.synchronize(state.device)
    start = time.perf_counter()
    state.train(*batch)
    torch.cuda.synchronize(state.device)
    return time.perf_counter() - start
