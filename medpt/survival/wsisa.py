"""WSISA (Zhu et al. 2017): a survival network for each phenotype; the predictive ones give the features.

Thumbnails of the patches are clustered. For each cluster a network (the encoder under test instead of the
authors' small one) is trained with the Cox loss on training patches, which inherit the follow-up of their
patient. Clusters whose network orders the validation patients better than chance are kept. For each of them a
patient's features are the mean of its patches' 32 activations times the cluster's share of the patient's kept
patches. MTLSA (medpt/survival/mtlsa.py) turns them into a risk.

It differs from the authors' released code, whose loss did not depend on which patient died and whose
selection read the test patients.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medpt.data.augment import ELEMENTS, dihedral
from medpt.data.decode import opencv
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.survival import mtlsa
from medpt.survival.clusters import SAMPLED_PER_PATIENT, k_centres, sample
from medpt.survival.concordance import comparable_pairs
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
from medpt.survival.options import WsisaOptions as Options
from medpt.survival.study import TRAIN, VALIDATION, Prediction, Study
from medpt.train import reseed

HIDDEN = 32
THUMBNAIL = 50
CHUNK = 128  # thumbnails decomposed at a time: the cost of a chunk grows with its square


DEFAULTS = Options()


def predict(study: Study, options: Options = DEFAULTS) -> Prediction:
    """Train the networks and return the risks of all patients; the study needs `images` and `encoder`.

    Clusters without a comparable pair of training patients are excluded; of the others `selected` keeps some.
    Patients without patches get the training patients' median risk. Facts: clusters kept, the best validation
    C-index of a cluster, those of MTLSA, patients without patches, and patients without patches in the kept
    clusters, whose features are all 0.
    """
    images, encoder = require_fields(study, "images", "encoder")
    labels = phenotypes(study, images, options)
    experts = [
        _trained(study, images, encoder, np.flatnonzero(labels == cluster), cluster, options)
        for cluster in range(options.k)
    ]
    scores = [expert.score for expert in experts if expert]
    kept = [expert for expert, keep in zip(filter(None, experts), selected(scores), strict=True) if keep]
    x, everyone, fitted = (
        patient_features(kept),
        patients_with_patches(study),
        patients_with_patches(study, TRAIN),
    )
    seed = stream_seed(study.seed, "wsisa", "mtlsa")
    found = mtlsa.predict_from(x[fitted], study.time[fitted], study.event[fitted], x[everyone], seed)
    facts = {f"mtlsa_{name}": value for name, value in found.facts.items()} | {
        "clusters": float(len(kept)),
        "best_cluster_val_c_index": float(np.fmax.reduce(scores)),
        "without_features": float((~x[everyone].any(1)).sum()),
    }
    return prediction(study, found.risk, facts)


def selected(scores: Sequence[float]) -> list[bool]:
    """Return which clusters are kept by their validation C-index: those above 1/2, else the best one.

    Clusters with nan (no comparable pair of validation patients) are dropped, unless all have nan: then all
    are kept. Raises InputError if there is no cluster at all.
    """
    if not len(scores):
        raise InputError("WSISA: in no cluster of patches can two training patients be compared")
    if np.isnan(scores).all():
        return [True] * len(scores)
    least = min(np.nextafter(0.5, 1), np.nanmax(scores))
    return [score >= least for score in scores]


def phenotypes(study: Study, images: NDArray[np.uint8], options: Options) -> NDArray[np.intp]:
    """Return the cluster of every patch (n,): k-means of the principal components of 50 × 50 thumbnails.

    Components and centres come from up to 200 patches of each training patient.
    """
    from sklearn.decomposition import IncrementalPCA

    rng = np.random.default_rng(stream_seed(study.seed, "wsisa", "sample"))
    rows = sample([study.bags[row] for row in patients_with_patches(study, TRAIN)], SAMPLED_PER_PATIENT, rng)
    axes = IncrementalPCA(min(options.components, len(rows)))
    for part in batches(np.sort(rows), CHUNK):
        axes.partial_fit(thumbnails(images, part))
    parts = batches(np.arange(len(images)), CHUNK)
    points = np.concatenate([axes.transform(thumbnails(images, part)) for part in parts])
    return k_centres(points[rows], options.k, stream_seed(study.seed, "wsisa", "k-means"))(points)


def thumbnails(images: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return thumbnails (len(rows), 7500) in [0, 1], by area averages."""
    cv2 = opencv()
    small = [cv2.resize(images[row], (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for row in rows]
    return np.stack(small).reshape(len(rows), -1) / np.float32(255)


class ClusterNet(nn.Module):
    """Map images by `encoder` to 32 activations, and these to a log risk."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden = nn.Linear(encoder.channels[-1], HIDDEN)  # type: ignore[index,arg-type]
        self.risk = nn.Linear(HIDDEN, 1)

    def activations(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to activations (B, 32), at least 0."""
        return self.hidden(pooled(self.encoder, images)).relu()

    def forward(self, images: Tensor) -> Tensor:
        return self.risk(self.activations(images)).squeeze(1)


@dataclass(frozen=True)
class Expert:
    """Activations of one cluster's network for each patient; 0 if a patient has no patch of the cluster."""

    score: float  # validation C-index, nan: no pair to compare
    patches: NDArray[np.int64]  # (P,) of the cluster
    means: NDArray[np.float64]  # (P, 32)


def patient_features(kept: Sequence[Expert]) -> NDArray[np.float64]:
    """Return means times the cluster's share of the patient's patches in kept clusters, (P, 32 · kept)."""
    counts = np.stack([expert.patches for expert in kept])
    share = counts / np.maximum(counts.sum(0), 1)
    return np.hstack([weight[:, None] * expert.means for weight, expert in zip(share, kept, strict=True)])


def _trained(
    study: Study,
    images: NDArray[np.uint8],
    encoder: Callable[[], nn.Module],
    members: NDArray[np.intp],
    cluster: int,
    options: Options,
) -> Expert | None:
    """Train the expert of the patches `members`; None if no two training patients are comparable."""
    bags = {row: members[study.patient[members] == row] for row in patients_with_patches(study)}
    training = np.array([row for row in study.rows(TRAIN) if len(bags.get(row, ()))], np.intp)
    if not comparable_pairs(study.time[training], study.event[training]):
        return None
    reseed(torch.device(study.device), stream_seed(study.seed, "wsisa", "network", cluster))
    network = ClusterNet(encoder()).to(study.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    fit = _Fit(study, options, images, bags, training, network, optimiser, cluster)
    stopping = train(network, fit.epoch, fit.validation_score, options.epochs, options.patience)
    counts, means = fit.summary(patients_with_patches(study))
    return Expert(stopping.best, counts, means)


@dataclass(frozen=True)
class _Fit:
    study: Study
    options: Options
    images: NDArray[np.uint8]
    bags: dict[int, NDArray[np.intp]]  # by patient, the patches of the cluster
    training: NDArray[np.intp]  # patients with such patches
    network: ClusterNet
    optimiser: torch.optim.Optimizer
    cluster: int

    def epoch(self, number: int) -> None:
        rng = np.random.default_rng(stream_seed(self.study.seed, "wsisa", "epoch", self.cluster, number))
        patches = sum(len(self.bags[row]) for row in self.training)
        for _ in range(-(-patches // self.options.batch_patches)):
            patients = rng.permutation(self.training)[: self.options.batch_patches]
            if self.study.event[patients].any():
                self._step(patients, rng)

    def _step(self, patients: NDArray[np.intp], rng: np.random.Generator) -> None:
        device = self.study.device
        rows = np.array([rng.choice(self.bags[row]) for row in patients])
        turns = torch.from_numpy(rng.integers(ELEMENTS, size=len(rows))).to(device)
        risk = self.network(dihedral(load(self.images, rows, device, self.study.normalisation), turns))
        minimise(patients_loss(self.study, patients, risk), self.optimiser)

    def validation_score(self) -> float:
        """Return the validation C-index of the patients' mean patch risks."""
        patients = np.array(
            [row for row in patients_with_patches(self.study, VALIDATION) if len(self.bags[row])], np.intp
        )
        _, means = self.summary(patients)
        layer = self.network.risk
        return c_index(
            self.study, patients, means[patients] @ layer.weight[0].detach().cpu().double().numpy()
        )

    def summary(self, patients: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the patches (P,) and mean activations (P, 32) of these patients; 0 for all others."""
        rows = np.concatenate([np.empty(0, np.intp), *(self.bags[row] for row in patients)])
        counts = np.bincount(self.study.patient[rows], minlength=len(self.study.patients))
        sums = np.zeros((len(counts), HIDDEN))
        if len(rows):
            values = embed(
                self.network.activations, self.images, rows, self.study.device, self.study.normalisation
            )
            np.add.at(sums, self.study.patient[rows], values.astype(np.float64))
        return counts, sums / np.maximum(counts, 1)[:, None]
