"""What a trial starts from: the request for a pre-training, and the protocol that it is trained by."""

from dataclasses import dataclass, field, replace

from grid.space.sources import source_architecture, source_datasets
from grid.space.trials import Analysis, Settings, Space, Trial, initialization_label, self_supervised
from medpt.data import optic_disc
from medpt.models.weights_file import WeightsFile
from medpt.normalisation import Normalisation
from medpt.protocol import SELF_SUPERVISED_METHODS, TrainingProtocol, self_supervised_protocol
from medpt.specs import CLASSIFIER, PUBLISHED_WEIGHTS, SUPERVISED


@dataclass(frozen=True)
class PretrainRequest:
    """The initialization that a trial or an analysis asks for.

    `architecture` is the target's. `target` is "" where nothing is fine-tuned. `whole_frames`: images are not
    cut around the optic disc, which the network is trained to find.
    """

    initialization: str
    sample_size: int | None
    backbone: str
    architecture: str
    target: str
    settings: Settings = field(repr=False, compare=False)
    seed: int = 0
    fold: int | None = None  # of the target
    whole_frames: bool = False

    @property
    def label(self) -> str:
        return initialization_label(self.initialization, self.sample_size)

    @property
    def numbered_label(self) -> str:
        """The label with the seed of a repeated pre-training: "CheXpert-20k (pre-training 1)"."""
        if self.whole_frames:
            return f"{self.label} (whole frames)"
        return f"{self.label} (pre-training {self.seed})" if self.seed else self.label

    @property
    def numbered_target(self) -> str:
        """The target with its split, where it has several: "Clinic (split 2)"."""
        return self.target if self.fold is None else f"{self.target} (split {self.fold})"

    @property
    def datasets(self) -> tuple[str, ...]:
        return source_datasets(self.initialization, self.target, self.settings)

    @property
    def source_architecture(self) -> str:
        return source_architecture(self.initialization, self.architecture, self.settings)

    @property
    def published(self) -> WeightsFile | None:
        """The published weights that it names; None for `imagenet*`, whose files --imagenet-weights has."""
        return self.settings.weights.get(self.initialization)

    @property
    def spec_name(self) -> str:
        """The initialization in specifications: results of published weights do not depend on their name."""
        return PUBLISHED_WEIGHTS if self.published else self.label

    @property
    def normalisation(self) -> Normalisation | None:
        """The normalisation in specifications: None for ImageNet's."""
        return self.published.normalisation.unless_default if self.published else None

    @property
    def method(self) -> str:
        return self_supervised().get(self.initialization, SUPERVISED)


def trial_request(trial: Trial) -> PretrainRequest:
    return PretrainRequest(
        trial.initialization,
        trial.sample_size,
        trial.backbone,
        trial.architecture,
        trial.target,
        trial.settings,
        trial.pretrain_seed or 0,
        trial.fold,
    )


def analysis_requests(analysis: Analysis) -> list[PretrainRequest]:
    """Return a request for each pre-training of each initialization that the analysis compares."""
    return [
        PretrainRequest(source, size, analysis.backbone, CLASSIFIER, "", analysis.settings, seed)
        for source, size in analysis.initializations
        for seed in (analysis.pretrain_seeds if analysis.settings.trains(source) else (0,))
    ]


def requests(space: Space) -> list[PretrainRequest]:
    """Return the requests of all trials and analyses of a space."""
    asked = [request for analysis in space.analyses for request in analysis_requests(analysis)]
    return [*map(trial_request, space.trials), *asked]


def published_weights(space: Space) -> tuple[WeightsFile, ...]:
    """Return the published weights that a space starts from; included spaces may use one name for several."""
    named = [each.published for each in requests(space) if each.published]
    return tuple({(each.name, each.identity): each for each in named}.values())


def detector_request(settings: Settings) -> PretrainRequest:
    """Return the request for the network that finds optic discs."""
    is_cut = settings.of(optic_disc.SOURCE).roi is not None
    return PretrainRequest(optic_disc.SOURCE, None, "resnet18", "unet", "", settings, whole_frames=is_cut)


def source_protocol(request: PretrainRequest) -> TrainingProtocol:
    """Return the space's protocol, with the validation fraction of the dataset where it has its own.

    Without labels and without a protocol of the space's own, the length follows the dataset's size.
    """
    names, settings = request.datasets, request.settings
    protocol = settings.pretrain
    if request.method in SELF_SUPERVISED_METHODS and protocol == Settings().pretrain:
        protocol = self_supervised_protocol(settings.card(names[0]).counts.get("train", 0), protocol)
    fraction = settings.of(names[0]).validation_fraction if len(names) == 1 else None
    return protocol if fraction is None else replace(protocol, validation_fraction=fraction)


def detector_dataset(trial: Trial) -> tuple[str, ...]:
    """Return the dataset that teaches the detector of the target's optic discs, where it needs one."""
    return (optic_disc.SOURCE,) if trial.settings.of(trial.target).roi else ()


def space_datasets(space: Space) -> list[str]:
    """Return every dataset that a space reads: of sources, targets, other tests, analyses, the detector."""
    sources = {name for request in requests(space) for name in request.datasets}
    analysed = {name for analysis in space.analyses for name, _ in analysis.datasets}
    detectors = {name for trial in space.trials for name in detector_dataset(trial)}
    targets = {trial.target for trial in space.trials}
    tested = {name for trial in space.trials for name in trial.settings.of(trial.target).test_also}
    return sorted(sources | analysed | detectors | targets | tested)
