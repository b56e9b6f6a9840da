"""The direct predictor of Wen et al. 2021, Table 5: phenotypes of a patient's patches, one network, one risk.

The paper has one sentence on it; this is a reconstruction. Patches are clustered by k-means or spectral
clustering. A patient is the mean of the network's features over one random patch per cluster, weighted by the
cluster's share of the patient's patches. A linear layer gives the risk. The Cox loss trains everything, the
encoder included. k-means is fitted again to the current features every five epochs; spectral clusters stay.
`frozen` is the cheap variant: a ridge Cox model (cox.py) of the clusters' shares and mean features.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.data.augment import ELEMENTS, dihedral
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival.clusters import CLUSTERINGS, SAMPLED_PER_PATIENT, principal, sample
from medpt.survival.cox import fit_ridge_cv
from medpt.survival.features import embed, load, pooled
from medpt.survival.fitting import (
    batches,
    c_index,
    minimise,
    patients_loss,
    patients_with_patches,
    prediction,
    require_fields,
    train,
)
from medpt.survival.options import ClusteredOptions as Options
from medpt.survival.study import TRAIN, VALIDATION, Prediction, Study
from medpt.train import reseed

Labels = NDArray[np.intp]


DEFAULTS = Options()


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Train the predictor and return the risks of all patients.

    The study needs `features` (of the encoder under test) and, unless `frozen`, `images` and `encoder`. Keeps
    the epoch with the best validation C-index from `least_epochs` on, or the last one if validation has no
    comparable pair. Patients without patches get the training patients' median risk. Facts: the epoch kept
    and its validation C-index (for `frozen` the ridge penalty), patients without patches.
    """
    if options.clustering not in CLUSTERINGS:
        raise InputError(f"clustering: {options.clustering!r}; known: {', '.join(CLUSTERINGS)}")
    if options.frozen:
        return _predict_frozen(study, options)
    fit, validating = _Fit.start(study, options), patients_with_patches(study, VALIDATION)

    def validation_score() -> float:
        return c_index(study, validating, fit.risks(validating))

    stopping = train(
        fit.network, fit.epoch, validation_score, options.epochs, options.patience, options.least_epochs
    )
    fit.labels = fit.history[stopping.best_step]
    facts = {"epoch": float(stopping.best_step), "val_c_index": stopping.best}
    return prediction(study, fit.risks(patients_with_patches(study)), facts)


class DirectNet(nn.Module):
    """Map images to log risks by `encoder`, whose last map has `encoder.channels[-1]` channels."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.risk = nn.Linear(encoder.channels[-1], 1)  # type: ignore[index,arg-type]

    def forward(self, images: Tensor, weights: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S), with weights (P, B) of patches in patients, to risks (P,)."""
        return self.risk(weights @ pooled(self.encoder, images)).squeeze(1)


@dataclass
class _Fit:
    study: Study
    options: Options
    images: NDArray[np.uint8]
    network: DirectNet
    optimiser: torch.optim.Optimizer
    labels: Labels  # (n,) of every patch
    history: dict[int, Labels] = field(default_factory=dict)  # by epoch

    @classmethod
    def start(cls, study: Study, options: Options) -> "_Fit":
        features, images, encoder = require_fields(study, "features", "images", "encoder")
        reseed(torch.device(study.device), stream_seed(study.seed, "direct", "network"))
        network = DirectNet(encoder()).to(study.device)
        optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
        return cls(study, options, images, network, optimiser, phenotypes(study, features, options))

    def epoch(self, number: int) -> None:
        due = number > 1 and (number - 1) % self.options.recluster_every == 0
        if due and self.options.clustering == "km":
            self.labels = phenotypes(
                self.study, self._features(np.arange(len(self.study.patient))), self.options
            )
        self.history[number] = self.labels
        rng = np.random.default_rng(stream_seed(self.study.seed, "direct", "epoch", number))
        self.network.train()
        for batch in batches(
            rng.permutation(patients_with_patches(self.study, TRAIN)), self.options.batch_patients
        ):
            if self.study.event[batch].any():
                self._step(batch, rng)

    def _step(self, patients: NDArray[np.intp], rng: np.random.Generator) -> None:
        rows, owner, weight = choose_patches(
            self.study, patients, self.labels, lambda members: rng.choice(members, 1)
        )
        device = self.study.device
        weights = torch.zeros(len(patients), len(rows))
        weights[torch.from_numpy(owner), torch.arange(len(rows))] = torch.from_numpy(weight)
        turns = torch.from_numpy(rng.integers(ELEMENTS, size=len(rows))).to(device)
        images = dihedral(load(self.images, rows, device, self.study.normalisation), turns)
        risk = self.network(images, weights.to(device))
        minimise(patients_loss(self.study, patients, risk), self.optimiser)

    def risks(self, patients: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return risks (len(patients),) in evaluation mode, from up to 50 evenly spaced patches a cluster."""
        if not len(patients):
            return np.empty(0)
        most = self.options.judged_per_cluster
        rows, owner, weight = choose_patches(
            self.study, patients, self.labels, lambda members: members[:: -(-len(members) // most)]
        )
        features = self._features(rows).astype(np.float64)
        means = np.zeros((len(patients), features.shape[1]))
        np.add.at(means, owner, weight[:, None] * features)
        return self._head(means)

    def _head(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        layer = self.network.risk
        weight, bias = (x.detach().cpu().double().numpy() for x in (layer.weight[0], layer.bias))
        return means @ weight + bias

    def _features(self, rows: NDArray[np.intp]) -> NDArray[np.floating]:
        encoder = self.network.encoder.eval()
        return embed(
            lambda batch: pooled(encoder, batch),
            self.images,
            rows,
            self.study.device,
            self.study.normalisation,
        )


def choose_patches(
    study: Study,
    patients: NDArray[np.intp],
    labels: Labels,
    choose: Callable[[NDArray[np.intp]], NDArray[np.intp]],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Choose patches of each cluster of each patient; return their rows, the patients' numbers, and weights.

    The weights of a patient sum to 1. The chosen patches of a cluster share the cluster's weight equally,
    which is its share of the patient's patches.
    """
    rows, owner, weight = [], [], []
    for number, patient in enumerate(patients):
        bag = study.bags[patient]
        for cluster in np.unique(labels[bag]):
            members = bag[labels[bag] == cluster]
            rows.append(taken := choose(members))
            owner.append(np.full(len(taken), number))
            weight.append(np.full(len(taken), len(members) / len(bag) / len(taken), np.float32))
    return np.concatenate(rows), np.concatenate(owner), np.concatenate(weight)


def phenotypes(study: Study, features: NDArray[np.floating], options: Options) -> Labels:
    """Return the cluster of every patch (n,), fitted on up to 200 patches of each training patient."""
    fitted_on = _sampled(study)
    fit = CLUSTERINGS[options.clustering]
    return fit(features[fitted_on], options.k, stream_seed(study.seed, "direct", "clusters"))(features)


def patient_vectors(study: Study, features: NDArray[np.floating], options: Options) -> NDArray[np.float64]:
    """Return the share of each cluster and its mean in the first 16 principal components, (P, k + 16 k).

    The mean is 0, the training mean, if a patient has no patch of a cluster.
    """
    labels = phenotypes(study, features, options)
    reduced = principal(features[_sampled(study)], options.components)(features)
    share = np.zeros((len(study.patients), options.k))
    means = np.zeros((len(study.patients), options.k, reduced.shape[1]))
    np.add.at(share, (study.patient, labels), 1)
    np.add.at(means, (study.patient, labels), reduced)
    means /= np.maximum(share, 1)[..., None]
    share /= np.maximum(share.sum(1, keepdims=True), 1)
    return np.hstack([share, means.reshape(len(share), -1)])


def _predict_frozen(study: Study, options: Options) -> Prediction:
    (features,) = require_fields(study, "features")
    x, rows = patient_vectors(study, features, options), patients_with_patches(study, TRAIN)
    seed = stream_seed(study.seed, "direct", "ridge")
    model = fit_ridge_cv(x[rows], study.time[rows], study.event[rows], seed)
    return prediction(study, model(x[patients_with_patches(study)]), {"penalty": model.penalty})


def _sampled(study: Study) -> NDArray[np.intp]:
    rng = np.random.default_rng(stream_seed(study.seed, "direct", "sample"))
    return sample([study.bags[row] for row in patients_with_patches(study, TRAIN)], SAMPLED_PER_PATIENT, rng)
