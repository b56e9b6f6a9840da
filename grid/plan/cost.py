"""What units cost by arithmetic: seconds of one device, before any calibration (calibration.py).

Kinds that do not train have typical seconds on a published dataset; of synthetic data they take the share
that is drawn. Every unit also has its start.

A training step costs three forward passes; the multiply-adds are those of the networks at 256 × 256. What a
device achieves of its peak on batches of sixteen is an assumption until units of the same store have finished
on such a device.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from grid.plan.datasets import SpaceDatasets
from grid.plan.plan import Plan, Unit
from medpt.data.catalog import card
from medpt.data.file_tree import walk
from medpt.errors import InputError
from medpt.models.footprint import footprint
from medpt.specs import CLASSIFIER, Finetune, ImageFeatures, Prepare, Pretrain, Probe, Slides, Svcca
from medpt.survival.patches import options_of
from medpt.unit_spec import UnitSpec

GFLOPS = {"CPU core": 40.0, "GPU": 8_000.0}  # achieved on these networks; one core measured, a GPU assumed
CPU, GPU = GFLOPS  # the devices
IMAGE_SECONDS = 0.005  # of one core, to prepare an image once it is decoded
BYTE_SECONDS = 2.5e-8  # of one core, to read and decode a byte of an image
MEAN_BYTES = 300_000  # of an image whose files are not here
DRAWN_BYTES = 20_000  # of a synthetic image; 23 datasets of 64 pixels have 2 to 110 kB an image
IMAGES = 5_000  # of a dataset of which nothing is known
TEST_SHARE = 0.2  # of the images of a target, where a random fifth is tested
FIT_SECONDS = 0.0005  # of one core, to fit a linear model to a training image's features, all strengths tried
LEAK_CHECK = "leak check"  # a guarded pre-training
LEAK_CHECK_SECONDS = 20.0  # as a rule it shares nothing with its target and is not trained
TRAINING_START = 8.0  # to load, test and write: 3.4 s a unit of `demo`, 15 s of `paper-mini`
START = 2.0  # of other units: 0.1 to 7 s in `paper-mini`, with hardly any data


@dataclass(frozen=True)
class Files:
    """The original images of a dataset: how many, and their bytes together."""

    images: int
    nbytes: float


UNKNOWN_FILES = Files(IMAGES, IMAGES * MEAN_BYTES)


@dataclass(frozen=True)
class DataSizes:
    """What the time of a unit depends on: sides in pixels of prepared images by digest, files by dataset.

    `shares`, of synthetic datasets: how much is drawn for each image, or patch, of the published dataset.
    """

    sides: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, Files] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)


def data_sizes(plan: Plan, found: SpaceDatasets) -> DataSizes:
    """Return the sizes of a plan's data; of those that are not here, what their cards say."""
    names = {unit.spec.dataset for unit in plan.units.values() if isinstance(unit.spec, Prepare)}
    return DataSizes(
        plan.sizes, {name: _files(name, plan, found) for name in names}, shares(plan, found.drawn)
    )


def shares(plan: Plan, drawn: Mapping[str, int]) -> dict[str, float]:
    """Return the `shares` of DataSizes from the images, or patients, that are drawn of synthetic datasets."""
    images = {name: min(1.0, count / (_known(name, plan) or IMAGES)) for name, count in drawn.items()}
    cohorts = [unit.spec for unit in plan.units.values() if isinstance(unit.spec, Slides)]
    patches = {
        spec.dataset: options_of(spec.dataset, spec.patches).candidates
        / options_of(spec.dataset, {}).candidates
        for spec in cohorts
    }
    return {name: share * patches.get(name, 1.0) for name, share in images.items()}


def _files(name: str, plan: Plan, found: SpaceDatasets) -> Files:
    known = _known(name, plan)
    if name in found.folders:
        sizes = [entry.stat().st_size for entry in walk(found.folders[name])]
        return Files(min(known, len(sizes)) or len(sizes) or IMAGES, sum(sizes))
    if drawn := found.drawn.get(name):
        return Files(drawn, drawn * DRAWN_BYTES)
    return Files(known or IMAGES, (known or IMAGES) * MEAN_BYTES)


def _known(name: str, plan: Plan) -> int:
    """Return the images that a dataset has by its card; 0 of one that does not say it."""
    try:
        return sum(card(name, plan.cards).counts.values())
    except InputError:
        return 0


def title(unit: Unit) -> str:
    """Return the title of the unit's kind, or LEAK_CHECK for what trains only if it finds shared images."""
    is_leak_check = isinstance(unit.spec, Pretrain) and not trains(unit)
    return LEAK_CHECK if is_leak_check else unit.spec.title


def seconds(unit: Unit, data: DataSizes, device: str) -> float:
    """Return the seconds of one `device` that the arithmetic gives a unit; data are prepared by CPU cores."""
    spec = unit.spec
    if isinstance(spec, Prepare):
        return preparation_seconds(spec, data.files.get(spec.dataset, UNKNOWN_FILES))
    if not isinstance(spec, Pretrain | Finetune | Probe | ImageFeatures):
        return spec.typical_seconds * _share(spec, data)
    side = data.sides.get(unit.needs[0], 256)
    if isinstance(spec, Probe | ImageFeatures):
        images = data.files.get(spec.dataset, UNKNOWN_FILES).images
        if isinstance(spec, Probe):
            return probe_seconds(spec, images, side, device)
        return images * forward_seconds(CLASSIFIER, spec.backbone, side, device)
    if isinstance(spec, Pretrain) and not trains(unit):
        return LEAK_CHECK_SECONDS * fmean(data.shares.get(name, 1.0) for name in spec.datasets)
    step = 3 * forward_seconds(spec.architecture, spec.backbone, side, device) * spec.protocol.batch_size
    fewest, most = min(spec.protocol.min_steps, spec.protocol.max_steps), spec.protocol.max_steps
    return (fewest + most) / 2 * step  # expected midway between the fewest and the most steps


def start_seconds(unit: Unit) -> float:
    """Return the seconds that a unit takes with hardly any data and no training."""
    return TRAINING_START if trains(unit) else START


def _share(spec: UnitSpec, data: DataSizes) -> float:
    """Return the share of the usual images that a unit of a kind with typical seconds reads."""
    if isinstance(spec, Svcca):
        return spec.images / Svcca.images
    return data.shares.get(getattr(spec, "dataset", ""), 1.0)


def forward_seconds(architecture: str, backbone: str, side: int, device: str) -> float:
    """Return the seconds in which a network sees one image of `side` pixels."""
    return 2 * footprint(architecture, backbone).gmacs * (side / 256) ** 2 / GFLOPS[device]


def probe_seconds(spec: Probe, images: int, side: int, device: str) -> float:
    """Return the seconds of linear models on the features of frozen networks.

    Random networks see the training images twice: the statistics of their batch norm come from them.
    """
    trained = min((1 - TEST_SHARE) * images, spec.images)
    seen = TEST_SHARE * images + trained * (1 if spec.weights else 2)
    each = seen * forward_seconds(CLASSIFIER, spec.backbone, side, device) + trained * FIT_SECONDS
    return spec.networks * each


def preparation_seconds(spec: Prepare, files: Files) -> float:
    """Return the seconds of one core for the images that a specification takes of a dataset."""
    images = min(spec.sample_size or spec.at_most or files.images, files.images)
    return images * (IMAGE_SECONDS + BYTE_SECONDS * files.nbytes / max(files.images, 1))


def weight_bytes(spec: Pretrain | Finetune) -> float:
    """Return the bytes of one copy of the network's weights."""
    return 1e6 * footprint(spec.architecture, spec.backbone).megabytes


def kept_bytes(units: Iterable[Unit]) -> float:
    """Return the bytes of the networks that fine-tunings keep."""
    return sum(weight_bytes(unit.spec) for unit in units if isinstance(unit.spec, Finetune))


def trains(unit: Unit) -> bool:
    """Whether most of the unit's time goes into training."""
    spec = unit.spec
    if isinstance(spec, Pretrain):
        return spec.unguarded.digest not in unit.needs
    return isinstance(spec, Finetune)
