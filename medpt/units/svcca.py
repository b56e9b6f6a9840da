"""The unit `svcca`: how far pre-training moved each layer's representation (paper, Figure 6a)."""

import numpy as np

from medpt.analysis.activations import layer_similarities
from medpt.files import write_arrays
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET
from medpt.specs import Svcca
from medpt.units.base import Inputs, Job, sample_training_images

SIMILARITY = "svcca.npz"
COLUMNS = {  # arrays of the file, and the fields of medpt.analysis.activations.Similarity that they hold
    "layers": "layer",
    "similarity": "similarity",
    "floor": "floor",
    "rows": "n",
    "channels": "p",
    "weights": "weights",
}


def run(spec: Svcca, inputs: Inputs, job: Job) -> dict[str, float]:
    """Compare each layer's channels before and after pre-training on the same probe images.

    Writes svcca.npz: `layers`, `similarity` (mean canonical correlation in [0, 1], lower = more change),
    `floor` (of unrelated networks), `rows`, `channels` and `weights` (correlation of the kernels), all (L,).
    The metrics are the similarities of all layers on average and of the first one.
    """
    loaders = [inputs.loader(digest) for digest in spec.probes]
    each = max(1, spec.images // len(loaders))
    samples = [
        sample_training_images(loader, each, "svcca", spec.seed, number)
        for number, loader in enumerate(loaders)
    ]
    before, after = (
        build_encoder_with(spec.backbone, state).eval()
        for state in (inputs.initial_weights(spec), inputs.weights(spec))
    )
    probes = np.concatenate(samples)
    layers = layer_similarities(
        before,
        after,
        probes,
        seed=spec.seed,
        device=job.device,
        normalisation=spec.normalisation or IMAGENET,
    )
    arrays = {name: np.array([getattr(layer, field) for layer in layers]) for name, field in COLUMNS.items()}
    write_arrays(job.folder / SIMILARITY, arrays)
    return {
        "similarity": float(arrays["similarity"].mean()),
        "similarity_first": float(arrays["similarity"][0]),
        "probe_images": float(len(probes)),
    }
