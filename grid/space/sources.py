"""What an initialization stands for: the datasets and the network of its pre-training."""

from grid.space.trials import Settings, self_supervised
from medpt.data.dataset_collections import COLLECTIONS
from medpt.specs import CLASSIFIER


def source_datasets(initialization: str, target: str, settings: Settings) -> tuple[str, ...]:
    """Return the datasets that an initialization is trained on: without labels, the target itself."""
    if not settings.trains(initialization):
        return ()
    if initialization in self_supervised():
        return (target,)
    collection = COLLECTIONS.get(initialization)
    return collection.datasets if collection else (initialization,)


def source_architecture(initialization: str, architecture: str, settings: Settings) -> str:
    """Return what a source is trained with for targets of `architecture`.

    That is the network of the source's task; for a segmentation source, the target's own (Wen et al. 2021,
    section 4.2). Without labels all segmentation networks share one run, on U-Net where the method trains a
    decoder; of an extension's method only the encoder is taken.
    """
    if method := self_supervised().get(initialization):
        has_decoder = method == "context" and architecture != CLASSIFIER
        return "unet" if has_decoder else CLASSIFIER
    collection = COLLECTIONS.get(initialization)
    task = collection.task if collection else settings.card(initialization).task
    if task in ("classification", "multilabel"):
        return CLASSIFIER
    return "unet" if collection or architecture == CLASSIFIER else architecture


def can_transfer_decoder(initialization: str, architecture: str, settings: Settings) -> bool:
    """Whether the grid trains the source with the segmentation network of the target."""
    if not settings.trains(initialization):
        return False
    return source_architecture(initialization, architecture, settings) == architecture != CLASSIFIER
