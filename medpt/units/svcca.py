"""The unit `svcca`: how far pre-training moved each layer's representation (paper, Figure 6a)."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from medpt.analysis.activations import Similarity, layer_similarities
from medpt.files import write_arrays
from medpt.models.weights import build_encoder_with
from medpt.normalisation import IMAGENET
from medpt.specs import Svcca
from medpt.units.base import Files, Inputs, Job, Tested, sample_training_images

SIMILARITY = "svcca.npz"
MEANS = ("similarity", "floor", "weights")  # arrays of the file that are means over initializations


def run(spec: Svcca, inputs: Inputs, job: Job) -> dict[str, float]:
    """Compare each layer's channels before and after pre-training on the same probe images.

    Writes svcca.npz: `layers`, `similarity` (mean canonical correlation in [0, 1], lower = more change),
    `floor` (of unrelated networks), `rows`, `channels` and `weights` (correlation of the kernels), all (L,).
    With several initializations these are means over them, and `similarity_std` is their standard deviation
    (ddof 1). The metrics are the similarities of all layers on average and of the first one.
    """
    loaders = [inputs.loader(digest) for digest in spec.probes]
    each = max(1, spec.images // len(loaders))
    samples = [
        sample_training_images(loader, each, "svcca", spec.seed, number)
        for number, loader in enumerate(loaders)
    ]
    after, probes = build_encoder_with(spec.backbone, inputs.weights(spec)).eval(), np.concatenate(samples)
    found = []
    for seed in range(spec.seed, spec.seed + spec.fresh):
        initial = inputs.initial_weights(replace(spec, seed=seed))
        before = build_encoder_with(spec.backbone, initial).eval()
        found.append(
            layer_similarities(
                before,
                after,
                probes,
                seed=spec.seed,
                device=job.device,
                normalisation=spec.normalisation or IMAGENET,
            )
        )
    arrays = _arrays(found)
    write_arrays(job.folder / SIMILARITY, arrays)
    return _means(arrays) | {"probe_images": float(len(probes))}


def stored_metrics(spec: Svcca, files: Files, tested: Tested) -> dict[str, dict[str, float]]:
    """Return the metrics that svcca.npz determines."""
    return {SIMILARITY: _means(files[SIMILARITY])} if SIMILARITY in files else {}


def _means(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    values = arrays["similarity"]
    return {"similarity": float(values.mean()), "similarity_first": float(values[0])}


def _arrays(found: list[list[Similarity]]) -> dict[str, np.ndarray]:
    """Return the arrays of the file, from the layers of each initialization."""
    values = {
        name: np.array([[getattr(layer, name) for layer in layers] for layers in found]) for name in MEANS
    }
    arrays = {
        "layers": np.array([layer.layer for layer in found[0]]),
        "rows": np.array([layer.n for layer in found[0]]),
        "channels": np.array([layer.p for layer in found[0]]),
    }
    arrays |= {name: each.mean(0) for name, each in values.items()}
    if len(found) > 1:
        arrays["similarity_std"] = values["similarity"].std(0, ddof=1)
    return arrays
