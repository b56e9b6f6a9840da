"""What a plan will take on disk, before anything of it exists: an estimate, good to a factor of two.

Counts are given by the caller; where there are none, nothing is added. MLflow's copies and what killed runs
leave are not in it.
"""

from collections.abc import Callable, Iterable, Mapping

from grid.plan.planner import Unit
from medpt.data.catalog import card
from medpt.specs import CLASSIFIER, Finetune, Prepare, Pretrain, Slides
from medpt.survival.patches import options_of

Counts = Callable[[str], Mapping[str, int]]  # images (or slides) of a dataset by part: train, test

SHARDED = 0.7  # of raw pixels, after zstd: 0.41 of grey images, 0.80 of colour (medpt.data.shards)
MEGABYTES = {  # of a classifier's weights in float32, by backbone
    "resnet18": 44.8,
    "shufflenet_v2": 5.1,
    "densenet121": 28.2,
}
SEGMENTER = 75.0  # the middle of the networks: 7 to 156
RUNNING = 3  # copies in a checkpoint: weights and Adam's two moments
SMALL = 2e6  # bytes of metrics, scores and pictures of any unit


def need(
    units: Iterable[Unit], sizes: Mapping[str, int], counts: Counts, cache_bytes: float, at_once: int
) -> dict[str, float]:
    """Bytes of `units`: shards, caches of sets up to `cache_bytes`, results, checkpoints of `at_once` units.

    `sizes` gives the side in pixels of a preparation's images, by digest.
    """
    units = list(units)
    raw = [raw_bytes(unit, sizes, counts) for unit in units]
    specs = [unit.spec for unit in units]
    copies = [(s.networks_kept, weights(s)) for s in specs if isinstance(s, Pretrain | Finetune)]
    largest = sorted(size for _, size in copies)[-at_once:]
    return {
        "shards": SHARDED * sum(raw),
        "caches": float(sum(size for size in raw if size <= cache_bytes)),
        "results": sum(kept * size for kept, size in copies) + SMALL * len(units),
        "checkpoints": RUNNING * sum(largest),
    }


def raw_bytes(unit: Unit, sizes: Mapping[str, int], counts: Counts) -> int:
    """Pixels of a preparation, with a mask a row where the dataset has them; 0 of any other unit."""
    spec = unit.spec
    if isinstance(spec, Slides):
        options = options_of(spec.dataset, spec.patches)
        return sum(counts(spec.dataset).values()) * options.candidates * options.size**2 * 3
    if not isinstance(spec, Prepare):
        return 0
    parts = counts(spec.dataset)
    limit, train = spec.sample_size or spec.at_most, parts.get("train", 0)
    rows = sum(parts.values()) - train + (min(train, limit) if limit else train)
    channels = 4 if card(spec.dataset).task == "segmentation" else 3
    return rows * sizes[unit.digest] ** 2 * channels


def weights(spec: Pretrain | Finetune) -> float:
    """Bytes of one copy of the network's weights."""
    known = MEGABYTES.get(spec.backbone, max(MEGABYTES.values()))
    return 1e6 * (known if spec.architecture == CLASSIFIER else max(known, SEGMENTER))
