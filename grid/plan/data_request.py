"""Which data a trial asks for: a target with its test set, or a source with all its images."""

from dataclasses import dataclass, replace

from grid.plan.initialization import PretrainRequest
from grid.space.trials import Settings
from medpt.data import optic_disc
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.preprocess import canonical, pipeline_of, roi_pipeline
from medpt.specs import SUPERVISED, Prepare


@dataclass(frozen=True)
class DataRequest:
    """One dataset that is to be prepared.

    `roi` is the side in pixels of the square around the optic disc, which a detector finds in targets and the
    masks show in sources. With `all_images` there is no test set:
    nobody tests a source, and no target decides which images its sources have. `fold` numbers repeated splits
    by patient.
    """

    dataset: str
    sample_size: int | None = None
    at_most: int | None = None
    roi: int | None = None
    all_images: bool = False
    fold: int | None = None

    @property
    def label(self) -> str:
        if self.sample_size:
            return f"{self.dataset} ({self.sample_size:,} images)"
        name = f"{self.dataset} (at most {self.at_most:,})" if self.at_most else self.dataset
        name += "" if self.fold is None else f" (split {self.fold})"
        return f"{name} around the optic disc" if self.roi else name


def target_data(request: PretrainRequest) -> DataRequest:
    """Return the target's data, cropped around the optic disc if its entry has `roi`."""
    roi = request.settings.of(request.target).roi
    return DataRequest(request.target, roi=roi, fold=request.fold)


def source_data(request: PretrainRequest) -> tuple[DataRequest, ...]:
    """Return the data that the initialization is trained on: without labels, those of the target."""
    if request.method != SUPERVISED:
        return (target_data(request),)
    size, collection = request.sample_size, COLLECTIONS.get(request.initialization)
    found = [source_images(name, request.settings) for name in request.datasets]
    if request.whole_frames:
        found = [replace(each, roi=None) for each in found]
    if collection:
        return tuple(replace(each, at_most=size or collection.at_most) for each in found)
    return tuple(replace(each, sample_size=size) for each in found)


def source_images(name: str, settings: Settings, sample_size: int | None = None) -> DataRequest:
    """Return the images of a source; those of REFUGE-OD are cut around the disc if its entry has `roi`."""
    roi = settings.of(name).roi if name == optic_disc.SOURCE else None
    return DataRequest(name, sample_size, roi=roi, all_images=True)


def preparation(
    request: DataRequest, settings: Settings, fingerprint: str, detector: str | None, content: str | None
) -> Prepare:
    """Return the specification of a request; `detector` is the digest of what finds optic discs."""
    entry, card = settings.of(request.dataset), settings.card(request.dataset)
    if request.roi:
        pipeline = roi_pipeline(request.roi, settings.size)
    else:
        pipeline = canonical(entry.pipeline or pipeline_of(card, settings.size))
    split = entry.split or ("official" if card.official_split else "random")
    return Prepare(
        dataset=request.dataset,
        fingerprint=fingerprint,
        pipeline=pipeline,
        split="all" if request.all_images else split,
        options=entry.options,
        sample_size=request.sample_size,
        at_most=request.at_most,
        split_seed=request.fold or 0,
        detector=detector,
        content=content,
    )
