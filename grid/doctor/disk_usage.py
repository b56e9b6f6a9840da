"""What a plan will write to disk, estimated before it runs, within a factor of two.

The caller gives the images of each dataset; a dataset without them adds nothing. MLflow's copies and what
killed runs leave are not included.
"""

from collections.abc import Callable, Iterable, Mapping

from grid.plan.cost import weight_bytes
from grid.plan.plan import Unit
from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.specs import Finetune, Prepare, Pretrain, Slides
from medpt.survival.patches import options_of

Images = Callable[[str], Mapping[str, int]]  # images (or slides) of a dataset by split: train, test

COMPRESSED = 0.7  # size of shards per byte of pixels: 0.41 for grey images, 0.80 for colour, after zstd
IN_CHECKPOINT = 3  # copies of the weights: themselves and Adam's two moments
SMALL = 2e6  # bytes of metrics, scores and pictures of any unit


def estimate(
    units: Iterable[Unit],
    sizes: Mapping[str, int],
    images: Images,
    cache_bytes: float,
    at_once: int,
    cards: Mapping[str, DatasetCard] | None = None,
) -> dict[str, float]:
    """Return the bytes that `units` write: shards, caches, results, and checkpoints of `at_once` units.

    `sizes` gives the side in pixels of a preparation's images, by digest. Datasets of more than `cache_bytes`
    are not cached. `cards` are those of users' datasets.
    """
    units = list(units)
    pixels = [raw_bytes(unit, sizes, images, cards) for unit in units]
    trained = [unit.spec for unit in units if isinstance(unit.spec, Pretrain | Finetune)]
    largest = sorted(map(weight_bytes, trained))[-at_once:]
    results = sum(spec.networks_kept * weight_bytes(spec) for spec in trained)
    return {
        "shards": COMPRESSED * sum(pixels),
        "caches": float(sum(count for count in pixels if count <= cache_bytes)),
        "results": results + SMALL * len(units),
        "checkpoints": IN_CHECKPOINT * sum(largest),
    }


def raw_bytes(
    unit: Unit, sizes: Mapping[str, int], images: Images, cards: Mapping[str, DatasetCard] | None
) -> int:
    """Return the bytes of a preparation's pixels, of segmentation with masks; 0 for other units."""
    spec = unit.spec
    if isinstance(spec, Slides):
        options = options_of(spec.dataset, spec.patches)
        return sum(images(spec.dataset).values()) * options.candidates * options.size**2 * 3
    if not isinstance(spec, Prepare):
        return 0
    counts = images(spec.dataset)
    total, limit = sum(counts.values()), spec.sample_size or spec.at_most
    train = total if spec.split == "all" else counts.get("train", 0)
    rows = total - train + (min(train, limit) if limit else train)
    channels = 4 if card(spec.dataset, cards).task == "segmentation" else 3
    return rows * sizes[unit.digest] ** 2 * channels
