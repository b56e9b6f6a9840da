"""How much of a machine a unit takes: a CPU, or a fraction of a GPU that divides it."""

from medpt.spec import CLASSIFIER, Finetune, Pretrain, Spec

# Shares of one GPU by backbone: (classifier, segmentation network). Activations of a batch of 16 at 256 px
# need 1-3 GB with a CUDA context; the larger share is for the deeper decoder maps.
GPU_SHARES = {
    "resnet18": (0.2, 0.25),
    "shufflenet_v2": (0.2, 0.25),
    "densenet121": (0.25, 0.5),
}
OTHERS = 0.25  # features, survival models and analyses: one small network, or none
UNMEASURED = (0.5, 1.0)  # of a unit that an extension has a part in: twice the largest of the others


def gpu_share(spec: Spec) -> float:
    """The fraction of a GPU that trains this; 1 divided by it is a whole number."""
    if not isinstance(spec, Pretrain | Finetune):
        return OTHERS
    classifier, segmenter = UNMEASURED if spec.extensions else GPU_SHARES[spec.backbone]
    return classifier if spec.architecture == CLASSIFIER else segmenter


def bundle(spec: Spec, gpus: float) -> dict[str, float]:
    """What Ray reserves for the unit on a cluster with `gpus` GPUs: each trial uses one CPU thread."""
    return {"CPU": 1, "GPU": gpu_share(spec)} if gpus else {"CPU": 1}
