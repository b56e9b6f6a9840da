"""What a trial starts from: the datasets, network and protocol of its pre-training."""

from dataclasses import replace

from grid.space.trials import Settings, Trial
from medpt import selfsupervised
from medpt.data import optic_disc
from medpt.data.cards import card
from medpt.protocol import TrainingProtocol


def source_protocol(names: tuple[str, ...], method: str, settings: Settings) -> TrainingProtocol:
    """The space's, with the dataset's own validation part.

    Without labels and without a protocol of the space's own, the length follows the dataset's size.
    """
    protocol = settings.pretrain
    if method in selfsupervised.METHODS and protocol == Settings().pretrain:
        protocol = selfsupervised.protocol(card(names[0]).counts.get("train", 0), protocol)
    fraction = settings.of(names[0]).validation_fraction if len(names) == 1 else None
    return protocol if fraction is None else replace(protocol, validation_fraction=fraction)


def detector_dataset(trial: Trial) -> tuple[str, ...]:
    """The dataset that teaches the detector of the target's optic discs, where it needs one."""
    return (optic_disc.SOURCE,) if trial.settings.of(trial.target).roi else ()
