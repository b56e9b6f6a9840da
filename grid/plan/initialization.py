"""What a trial starts from: the datasets, network and protocol of its pre-training."""

from dataclasses import replace

from grid.space.trials import UNTRAINED, Settings, Trial, self_supervised
from medpt import selfsupervised
from medpt.data import optic_disc
from medpt.data.cards import card
from medpt.data.dataset_collections import COLLECTIONS
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER


def source_architecture(trial: Trial) -> str:
    """What a source is trained with: its task's network; a segmentation source, the target's (paper, 4.2).

    Without labels all segmentation networks share one run, on U-Net where there is a decoder at all; of an
    extension's method only the encoder is taken.
    """
    if method := self_supervised().get(trial.initialization):
        whole = method == "context" and trial.architecture != CLASSIFIER
        return "unet" if whole else CLASSIFIER
    collection = COLLECTIONS.get(trial.initialization)
    if (collection.task if collection else card(trial.initialization).task) == "classification":
        return CLASSIFIER
    return "unet" if collection or trial.architecture == CLASSIFIER else trial.architecture


def source_protocol(names: tuple[str, ...], method: str, settings: Settings) -> TrainingProtocol:
    """The space's, with the dataset's own validation part.

    Without labels and without a protocol of the space's own, the length follows the dataset's size.
    """
    protocol = settings.pretrain
    if method in selfsupervised.METHODS and protocol == Settings().pretrain:
        protocol = selfsupervised.protocol(card(names[0]).counts.get("train", 0), protocol)
    fraction = settings.of(names[0]).validation_fraction if len(names) == 1 else None
    return protocol if fraction is None else replace(protocol, validation_fraction=fraction)


def transfers_decoder(trial: Trial) -> bool:
    """Where the space asks for it and the source was trained with the target's own network."""
    own = source_architecture(trial) == trial.architecture != CLASSIFIER
    return trial.settings.transfer_decoder and own


def source_datasets(trial: Trial) -> tuple[str, ...]:
    """What the trial's initialization is trained on: without labels, on the target itself."""
    if trial.initialization in UNTRAINED:
        return ()
    if trial.initialization in self_supervised():
        return (trial.target,)
    collection = COLLECTIONS.get(trial.initialization)
    return collection.datasets if collection else (trial.initialization,)


def detector_dataset(trial: Trial) -> tuple[str, ...]:
    """The dataset that teaches the detector of the target's optic discs, where it needs one."""
    return (optic_disc.SOURCE,) if trial.settings.of(trial.target).roi else ()
