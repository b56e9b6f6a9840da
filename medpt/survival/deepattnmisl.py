"""DeepAttnMISL (Yao et al. 2020): attention over the frozen features of a patient's phenotypes gives a risk.

It differs from the authors' released code where that is in error: the L1 term is over all parameters, the
number of clusters is an option, patients are shuffled before each epoch. It has 64 d + 4,290 parameters for
features of d numbers: 266,434 for d = 4096, 37,058 for 512, 69,826 for 1024.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.identity import stream_seed
from medpt.survival import clusters
from medpt.survival.fitting import (
    batches,
    c_index,
    minimise,
    patches,
    patients_loss,
    patients_with_patches,
    prediction,
    require_fields,
    train,
)
from medpt.survival.options import DeepAttnMislOptions as Options
from medpt.survival.study import TRAIN, VALIDATION, Prediction, Study
from medpt.train import reseed

DEFAULTS = Options()


class MislNet(nn.Module):
    """Map features of patches, with the patient and phenotype of each, to a log risk per patient."""

    def __init__(self, features: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.embed = nn.Sequential(nn.Linear(features, 64), nn.ReLU())
        self.attend = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))
        self.risk = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 1))

    def forward(self, features: Tensor, patient: Tensor, cluster: Tensor, patients: int) -> Tensor:
        """Map (n, d), (n,) in 0..patients-1 and (n,) in 0..k-1 to (patients,); every patient has a patch."""
        pooled, attention = self.phenotypes(features, patient, cluster, patients)
        return self.risk((attention[..., None] * pooled).sum(1)).squeeze(1)

    def phenotypes(
        self, features: Tensor, patient: Tensor, cluster: Tensor, patients: int
    ) -> tuple[Tensor, Tensor]:
        """Return mean embeddings (patients, k, 64) and attention (patients, k) that sums to 1; 0 if empty."""
        embedded, cell = self.embed(features), patient * self.k + cluster
        sums = embedded.new_zeros(patients * self.k, 64).index_add(0, cell, embedded)
        counts = torch.bincount(cell, minlength=patients * self.k)
        pooled = (sums / counts.clamp(min=1)[:, None]).view(patients, self.k, 64)
        scores = self.attend(pooled).squeeze(2).masked_fill(counts.view(patients, -1) == 0, -torch.inf)
        return pooled, scores.softmax(1)


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Train the network and return the risks of all patients; the study needs `features`.

    Keeps the epoch of the lowest validation loss, or the last one if no validation patient has an event.
    Patients without patches get the training patients' median risk. Facts: the epoch kept and its validation
    C-index, patients without patches.
    """
    fit, validating = _Fit.start(study, options), patients_with_patches(study, VALIDATION)

    def validation_score() -> float:
        return -fit.loss(validating)

    stopping = train(fit.network, fit.epoch, validation_score, options.epochs, options.patience)
    facts = {
        "epoch": float(stopping.best_step),
        "val_c_index": c_index(study, validating, fit.risks(validating)),
    }
    return prediction(study, fit.risks(patients_with_patches(study)), facts)


@dataclass(frozen=True)
class _Fit:
    study: Study
    options: Options
    features: NDArray[np.float16]  # (n, d)
    cluster: NDArray[np.intp]  # (n,)
    network: MislNet
    optimiser: torch.optim.Optimizer

    @classmethod
    def start(cls, study: Study, options: Options) -> "_Fit":
        (features,) = require_fields(study, "features")
        cluster = phenotypes(study, features, options.k)
        reseed(torch.device(study.device), stream_seed(study.seed, "misl", "network"))
        network = MislNet(features.shape[1], options.k).to(study.device)
        optimiser = torch.optim.Adam(
            network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        return cls(study, options, features, cluster, network, optimiser)

    def epoch(self, number: int) -> None:
        order = np.random.default_rng(stream_seed(self.study.seed, "misl", "order", number))
        reseed(torch.device(self.study.device), stream_seed(self.study.seed, "misl", "dropout", number))
        for batch in batches(
            order.permutation(patients_with_patches(self.study, TRAIN)), self.options.batch_patients
        ):
            if self.study.event[batch].any():
                loss = patients_loss(self.study, batch, self._forward(batch))
                minimise(loss + self.options.l1 * total_l1(self.network), self.optimiser)

    @torch.no_grad()
    def loss(self, patients: NDArray[np.intp]) -> float:
        """Return the Cox loss of all these patients together; nan if none of them has an event."""
        if not self.study.event[patients].any():
            return np.nan
        return patients_loss(self.study, patients, self._forward(patients)).item()

    @torch.no_grad()
    def risks(self, patients: NDArray[np.intp]) -> NDArray[np.float64]:
        parts = [self._forward(part).cpu().numpy() for part in batches(patients, self.options.batch_patients)]
        return np.concatenate([np.empty(0), *parts])

    def _forward(self, patients: NDArray[np.intp]) -> Tensor:
        rows = patches(self.study, patients)
        owner = np.repeat(np.arange(len(patients)), [len(self.study.bags[row]) for row in patients])
        features = torch.from_numpy(self.features[rows]).to(self.study.device).float()
        places = (torch.from_numpy(x).to(self.study.device) for x in (owner, self.cluster[rows]))
        return self.network(features, *places, len(patients))


def phenotypes(study: Study, features: NDArray[np.float16], k: int) -> NDArray[np.intp]:
    """Return the cluster of every patch (n,): k-means of whitened components, fitted on training patches."""
    rng = np.random.default_rng(stream_seed(study.seed, "misl", "sample"))
    bags = [study.bags[row] for row in patients_with_patches(study, TRAIN)]
    rows = clusters.sample(bags, clusters.SAMPLED_PER_PATIENT, rng)
    assign = clusters.kmeans(features[rows], k, stream_seed(study.seed, "misl", "k-means"), whiten=True)
    return assign(features)


def total_l1(network: nn.Module) -> Tensor:
    """Return Σ|w| over all parameters."""
    return torch.stack([weight.abs().sum() for weight in network.parameters()]).sum()
