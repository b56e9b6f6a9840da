"""Which networks of a space are applied to new images, and how these are prepared.

Repeats of one trial (other seeds, pre-trainings or folds) are an ensemble: the mean of their probabilities.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from grid.options import add_filter_argument, add_result_arguments
from grid.plan.plan import Plan
from grid.space.filters import Filters, is_written
from grid.space.protocols import protocol_fields
from grid.space.trials import Trial
from grid.store.kept_networks import load_detector, load_network, without_networks
from grid.store.store import Store
from medpt.data import catalog
from medpt.data.card import DatasetCard
from medpt.data.kept_region import KeptRegion, kept_region
from medpt.data.new_images import NewImage, read_new_image
from medpt.data.optic_disc import inside
from medpt.data.preprocess import preprocess_pair
from medpt.disc_detector import Detector
from medpt.errors import InputError, did_you_mean
from medpt.specs import Finetune, Prepare

if TYPE_CHECKING:
    from medpt.trained_network import TrainedNetwork

REPEATS = ("seed", "pretrain_seed", "fold")
UNLIKE = ("experiment", *REPEATS)  # what two repeats of one trial may differ in
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Selection:
    """Repeats of one trial that are finished, by the digests of their fine-tunings."""

    plan: Plan
    trials: Mapping[str, Trial]
    unfinished: int = 0  # further repeats

    @property
    def first(self) -> Trial:
        return next(iter(self.trials.values()))

    @property
    def label(self) -> str:
        """The trial in words, such as `ISIC2019 → DRIVE · unet/resnet18 · 0`, of its first repeat."""
        return self.plan.units[next(iter(self.trials))].label

    @property
    def card(self) -> DatasetCard:
        """The card of the target."""
        return catalog.card(self.first.target, self.plan.cards)


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which networks of a space are meant, as `select_trials` takes them."""
    add_result_arguments(parser)
    add_filter_argument(parser, "--where", dest="where")
    parser.add_argument("--digest", metavar="HEX", help="the fine-tuning, by the start of its digest")


def select_trials(plan: Plan, store: Store, conditions: Filters, digest: str | None) -> Selection:
    """Return the repeats of the one trial that the conditions, or the start of a digest, mean.

    Raises InputError where there is none, where several remain (they are listed), where none is finished, and
    where networks were not kept; the last message has the command that keeps them.
    """
    values = {name: trial_values(plan, trial) for trial, name in plan.trials}
    known = {name: trial for trial, name in plan.trials if plan.units[name].kind == Finetune.kind}
    if not known:
        raise InputError(f"`{plan.space}` fine-tunes no network")
    chosen = [name for name in known if name.startswith(digest or "") and _matches(values[name], conditions)]
    unmatched = list(_unmatched(plan, [values[name] for name in known], conditions, digest))
    if not chosen:
        unmatched.append(f"no fine-tuning of `{plan.space}` matches all conditions")
    if unmatched:
        raise InputError(unmatched)
    if len(kinds := {_without_repeat(values[name]): values[name] for name in chosen}) > 1:
        raise InputError(list(_ambiguous(list(kinds.values()))))
    finished = [name for name in chosen if store.is_finished(name)]
    if not finished:
        raise InputError(f"{plan.units[chosen[0]].label}: not finished; run the space again")
    if missing := without_networks(store, finished):
        raise InputError([*(_unkept(plan, name) for name in missing), _keep_command(plan, store, conditions)])
    return Selection(plan, {name: known[name] for name in finished}, len(chosen) - len(finished))


def trial_values(plan: Plan, trial: Trial) -> Values:
    """Return the factors of a trial with the fields of its protocol, as the columns of the frame."""
    return trial.to_json() | protocol_fields(plan.protocols.get(trial.protocol, {}))


def _matches(values: Values, conditions: Filters) -> bool:
    return all(
        any(is_written(values[key], text) for text in accepted) for key, accepted in conditions.items()
    )


def _without_repeat(values: Values) -> str:
    return str({key: value for key, value in values.items() if key not in UNLIKE})


def _unmatched(plan: Plan, known: Sequence[Values], conditions: Filters, digest: str | None) -> Iterator[str]:
    if digest and not any(name.startswith(digest) for _, name in plan.trials):
        yield f"--digest {digest}: no fine-tuning of `{plan.space}` has a digest that starts with it"
    for key, accepted in conditions.items():
        given = list(dict.fromkeys(str(values[key]) for values in known))
        for text in accepted:
            if not any(is_written(values[key], text) for values in known):
                yield f"--where {key}={text}: no trial has it; {did_you_mean(text, given)}"


def _ambiguous(kinds: Sequence[Values]) -> Iterator[str]:
    """Name the trials by the factors in which they differ."""
    keys = [key for key in kinds[0] if key not in UNLIKE and len({str(each[key]) for each in kinds}) > 1]
    keys = [key for key in keys if key not in ("protocol", "source_protocol", "source")] or keys
    yield (
        f"{len(kinds)} trials match, and they differ in more than {', '.join(REPEATS)}; "
        "choose one by --where:"
    )
    yield from ("  " + ",".join(f"{key}={each[key]}" for key in keys) for each in kinds)


def _unkept(plan: Plan, digest: str) -> str:
    return f"{plan.units[digest].label} ({digest[:12]}): its weights were not kept"


def _keep_command(plan: Plan, store: Store, conditions: Filters) -> str:
    record = store.space(plan.space)
    path = record.path if record and record.path and not record.path.startswith("search_spaces/") else ""
    chosen = ",".join(f"{key}={value}" for key, values in conditions.items() for value in values)
    more = f" --filter {chosen}" if chosen else ""
    command = f"python -m grid.run --space {path or plan.space} --out {store.out}{more} --keep-missing"
    return f"to run them again and keep the weights, with the options of the first run: {command}"


@dataclass(frozen=True)
class Predictor:
    """Networks of equal classes with the preprocessing that they were trained on."""

    networks: tuple["TrainedNetwork", ...]
    card: DatasetCard
    pipeline: str
    detector: Detector | None = None  # of what the pipeline cuts around

    def prepare(self, image: NewImage) -> tuple[NDArray[np.uint8], KeptRegion]:
        """Return a prepared image (S, S, 3) and what it shows of the original.

        Raises InputError naming the file.
        """
        pixels = read_new_image(image, self.card, self.pipeline)
        try:
            centre = inside(pixels, self.detector.find(pixels)) if self.detector else None
            prepared, _ = preprocess_pair(pixels, None, self.pipeline, centre)
            return prepared, kept_region(pixels, self.pipeline, centre)
        except InputError as error:
            raise InputError(f"{image.path}: {problem}" for problem in error.problems) from None


def load_predictor(selection: Selection, store: Store, device: str) -> Predictor:
    """Load the networks of a selection. Raises InputError where they do not belong together."""
    networks = tuple(load_network(store, digest, device) for digest in selection.trials)
    data = [Prepare.from_json(store.marker(network.spec.data).spec) for network in networks]
    ways = {(each.facts.classes, spec.pipeline) for each, spec in zip(networks, data, strict=True)}
    if len(ways) > 1:
        raise InputError(f"{selection.label}: its repeats differ in classes or in preprocessing")
    detector = load_detector(store, data[0].detector) if data[0].detector else None
    return Predictor(networks, selection.card, data[0].pipeline, detector)
