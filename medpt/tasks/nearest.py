"""Classification by the nearest neighbours of an image in the space of fixed features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUERIES = 256  # images whose similarities to all training images are in memory at a time


@dataclass(frozen=True)
class Neighbours:
    """The k training images that are most similar to each of M images, the most similar first.

    `rows` (M, k) are their positions among the training images, `similarity` (M, k) the cosines.
    """

    rows: NDArray[np.int64]
    similarity: NDArray[np.floating]

    def scores(
        self, labels: NDArray[Any], classes: int, count: int, temperature: float
    ) -> NDArray[np.float64]:
        """Return the shares (M, K) of the votes of the first `count` neighbours.

        `labels` (N,), or (N, K) of 1, 0 and nan (unknown), are those of the training images. A neighbour has
        the weight exp(similarity / temperature): Wu et al. 2018 (arXiv 1805.01978, section 3.4), Caron et al.
        2021 (arXiv 2104.14294). It votes on the findings whose label is known; without a vote the share is
        0.5. The rows sum to 1 unless an image can have several classes.
        """
        best, voters = self.similarity[:, :count].astype(np.float64), labels[self.rows[:, :count]]
        weights = np.exp((best - best[:, :1]) / temperature)[:, :, None]
        votes = voters if labels.ndim == 2 else voters[:, :, None] == np.arange(classes)
        known = ~np.isnan(votes)
        total = (weights * known).sum(1)
        found = (weights * np.where(known, votes, 0)).sum(1)
        return np.divide(found, total, out=np.full(found.shape, 0.5), where=total > 0)


def find_neighbours(training: NDArray[np.floating], features: NDArray[np.floating], count: int) -> Neighbours:
    """Return up to `count` neighbours of features (M, d) among those of the training images, (N, d).

    Of equally similar images the first ones are taken.
    """
    known, rows, similarity = _directions(training), [], []
    for start in range(0, len(features), QUERIES):
        cosines = _directions(features[start : start + QUERIES]) @ known.T
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        rows.append(nearest)
        similarity.append(np.take_along_axis(cosines, nearest, axis=1))
    return Neighbours(np.concatenate(rows), np.concatenate(similarity))


def _directions(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Scale each row to the length 1; a row of zeros stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    scaled: NDArray[np.floating] = features / np.where(lengths == 0, 1, lengths)
    return scaled
