"""The unit `evaluate`: a fine-tuned network on an external test set, or on a corrupted copy of its own."""

from dataclasses import replace

import numpy as np
import torch

from medpt.data.arrays import Loader
from medpt.data.class_order import with_classes
from medpt.data.corruptions import CorruptedLoader, Corruption
from medpt.data.leakage import FilteredLoader
from medpt.errors import InputError
from medpt.specs import Evaluate
from medpt.tasks.base import Task, TrainingSetup
from medpt.tasks.classify import Classify
from medpt.tasks.findings import Findings
from medpt.tasks.segment import Segment
from medpt.trained_network import TrainedNetwork
from medpt.units.base import Inputs, Job
from medpt.units.finetune import stored_metrics as stored_metrics
from medpt.units.finetune import test_network

NO_ROWS = np.arange(0)


def run(spec: Evaluate, inputs: Inputs, job: Job) -> dict[str, float]:
    """Test a kept network and return the metrics of its fine-tuning, of these images.

    Writes items.npz and, for classification, scores.npz as a fine-tuning does. Raises InputError where the
    network was not kept, and where its classes, task or size of images are not those of the data.
    """
    network = inputs.network(spec.network, job.device)
    loader = _tested(inputs.loader(spec.data), network, spec)
    task = _task(network)
    setup = TrainingSetup(network.model, task, loader, NO_ROWS, NO_ROWS, normalisation=network.normalisation)
    return test_network(setup, loader, job, spec.evaluate_by)


def _tested(loader: Loader, network: TrainedNetwork, spec: Evaluate) -> Loader:
    """Return the data with what is tested as test rows, under the network's classes."""
    index, facts = loader.index, network.facts
    if (index.task, index.size) != (facts.task, facts.size):
        raise InputError(
            f"{index.dataset} is prepared for {index.task} at {index.size} pixels; the network is for "
            f"{facts.task} at {facts.size}"
        )
    if spec.corruption and spec.strength:
        return CorruptedLoader(loader, index, Corruption(spec.corruption, spec.strength))
    whole = replace(index, splits=np.where(index.splits == "train", "test", index.splits))
    return with_classes(FilteredLoader(loader, whole), facts.classes)


def _task(network: TrainedNetwork) -> Task:
    """Return the network's task, whose weights of classes no test reads."""
    weights, metric = torch.ones(len(network.facts.classes)), network.spec.metric or "auc"
    if network.facts.task == "segmentation":
        return Segment(weights)
    return Findings(weights, metric) if network.facts.task == "multilabel" else Classify(weights, metric)
