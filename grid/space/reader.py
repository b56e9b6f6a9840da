"""A space file says what to run: YAML, read to a Space. Nothing heavy is imported here.

Every problem of a file is found in one pass and named by file and line. grid/space/schema.py has the keys,
docs/spaces.md explains them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from os.path import isfile  # which takes a name that is too long for one that does not exist
from pathlib import Path
from typing import Any

from grid import package_data
from grid.space.dataset_settings import read_cards, read_datasets
from grid.space.factors import Factors
from grid.space.test_sets import frozen_notes, unkept_networks, unused_test_sets
from grid.space.trials import (
    IMAGENET,
    RANDOM,
    UNTRAINED,
    Analysis,
    DatasetSettings,
    Settings,
    Space,
    Trial,
    self_supervised,
)
from grid.space.weights_folders import WeightsFolders
from medpt.data.card import DatasetCard
from medpt.data.dataset_collections import COLLECTIONS
from medpt.errors import InputError, did_you_mean
from medpt.protocol import TrainingProtocol
from medpt.schema import option_problems, validate, without
from medpt.specs import NO_NETWORK
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.yaml_document import Document, KeyPath, Problem

FOLDER = package_data.folder("search_spaces")
MAX_TRIALS = 250_000
Cards = Mapping[str, DatasetCard]  # of users' datasets, by name


def load(name_or_file: str, cards: Cards | None = None, data: Path | None = None) -> Space:
    """Return the space of that name in search_spaces/, or of that file.

    `cards` are those of the users' datasets that it may name, `data` is the folder below which published
    weights may lie. Raises InputError naming file, line, key and what is accepted, for all problems at once.
    """
    return read_space(find(name_or_file), cards, data)


def find(name_or_file: str) -> Path:
    """Return the path of a space's file. Raises InputError where there is none."""
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"} or isfile(path):
        if not isfile(path):
            raise InputError(f"{path}: no such file")
        return path
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if name_or_file not in known:
        raise InputError(f"no space is called `{name_or_file}`; {did_you_mean(name_or_file, known)}")
    return FOLDER / f"{name_or_file}.yaml"


def read_space(path: Path, cards: Cards | None = None, data: Path | None = None) -> Space:
    """Read a space's file. Raises InputError as `load`."""
    from grid.space.schema import SpaceFile  # imports pydantic

    document = Document(path)
    _, problems = validate(SpaceFile, document.data, document.written)
    if not isinstance(document.data, dict):
        raise InputError(document.located(problems))
    sound = without(document.data, [key_path for key_path, _ in problems])
    return _Reader(document, sound, problems, dict(cards or {}), data).space()


class _Reader:
    """Builds the space of a document from its sound values, collecting every problem before it raises."""

    def __init__(
        self,
        document: Document,
        data: dict[str, Any],
        problems: list[Problem],
        cards: Cards,
        data_folder: Path | None,
    ) -> None:
        self.document, self.data, self.problems, self.data_folder = document, data, problems, data_folder
        own, self.included_problems = read_cards(document, data.get("datasets") or {})
        self.cards: dict[str, DatasetCard] = dict(cards) | own
        folders = WeightsFolders.of(document.path, data_folder)
        self.factors = Factors(self.problem, self.cards, folders, sound=not problems)

    def space(self) -> Space:
        included = list(self.included())
        settings = self.settings()
        if settings.phantom is None and included:
            settings = replace(settings, phantom=self.shared_phantom(included))
        trials = [trial for space in included for trial in space.trials]
        if "experiments" in self.data or not (self.data.get("include") or self.data.get("analysis")):
            trials += self.trials(settings)
        if settings.keep == "none":
            self.problems += unkept_networks(included)
        analyses = [entry for space in included for entry in space.analyses]
        analyses += self.analyses(settings)
        if not self.problems and len(trials) > MAX_TRIALS:
            self.problem((), f"{len(trials):,} trials; at most {MAX_TRIALS:,} in one space")
        select = self.select(included, trials)
        if problems := self.document.located(self.problems) + self.included_problems:
            raise InputError(problems)
        path = self.document.path
        return Space(
            name=path.stem,
            title=str(self.data.get("title") or path.stem),
            path=path,
            settings=replace(
                settings,
                datasets=self.folders(included) | settings.datasets,
                cards={name: card for space in included for name, card in space.cards.items()} | self.cards,
            ),
            notes=self.notes(included, trials),
            trials=tuple(dict.fromkeys(trials)),
            select=select,
            analyses=tuple(dict.fromkeys(analyses)),
        )

    def problem(self, path: KeyPath, text: str) -> None:
        self.problems.append((path, text))

    def notes(self, included: list[Space], trials: list[Trial]) -> tuple[str, ...]:
        """What published weights and frozen modes do not have, here and in included spaces."""
        others = [note for space in included for note in space.notes]
        return tuple(dict.fromkeys([*others, *self.factors.notes, *frozen_notes(trials)]))

    def included(self) -> Iterator[Space]:
        """Other spaces, whose trials keep the settings of their own files."""
        for n, name in enumerate(self.data.get("include") or ()):
            if name is not None and (path := self.included_path(name, ("include", n))):
                try:
                    yield read_space(path, self.cards, self.data_folder)
                except InputError as error:
                    self.problem(("include", n), f"`{name}` has problems:")
                    self.included_problems += error.problems

    def included_path(self, name: str, key_path: KeyPath) -> Path | None:
        """The file of an included space, which includes none itself."""
        try:
            path = find(name)
            includes = isinstance(data := Document(path).data, dict) and data.get("include")
        except InputError as error:
            self.problem(key_path, f"in `{name}`: {error}")
            return None
        if path.resolve() == self.document.path.resolve():
            self.problem(key_path, f"`{name}` includes itself")
        elif includes:
            self.problem(key_path, f"`{name}` includes others itself; name those")
        else:
            return path
        return None

    def shared_phantom(self, included: list[Space]) -> dict[str, Any] | None:
        """The synthetic data that all included spaces ask for alike."""
        wanted = [space.settings.phantom for space in included]
        if any(phantom != wanted[0] for phantom in wanted[1:]):
            self.problem(("include",), "the included spaces differ in `phantom`; give the one to use here")
        return wanted[0]

    def folders(self, included: list[Space]) -> dict[str, DatasetSettings]:
        """Where the included spaces found their data; the first that says so decides."""
        found: dict[str, DatasetSettings] = {}
        for space in reversed(included):
            found |= space.settings.datasets
        return found

    def settings(self) -> Settings:
        return Settings(
            size=self.data.get("size", Settings.size),
            phantom=(self.data["phantom"] or {}) if "phantom" in self.data else None,
            datasets=read_datasets(self.document, self.data.get("datasets") or {}, self.factors),
            pretrain=self.protocol("pretrain", Settings().pretrain),
            finetune=self.protocol("finetune", Settings().finetune),
            transfer_decoder=self.data.get("transfer_decoder", False),
            survival=self.survival(),
            metrics=self.data.get("metrics"),
            controls=self.data.get("controls", "phantom" not in self.data),
            random_networks=self.data.get("random_networks"),
            probes=self.data.get("probes", False),
            keep=self.data.get("keep", Settings.keep),
            cards=self.cards,
            weights=self.factors.weights,  # filled as the trials name them
        )

    def select(self, included: list[Space], trials: list[Trial]) -> tuple[str, ...]:
        """The fields of which a value is selected, also those of included spaces."""
        own = tuple(self.data.get("select") or ())
        if own and not all(trial.settings.finetune.validation_fraction for trial in trials):
            self.problem(("select",), "`select` needs a validation set, and `validation_fraction` is 0")
        return tuple(dict.fromkeys([name for space in included for name in space.select] + list(own)))

    def survival(self) -> dict[str, dict[str, Any]]:
        """Options by model."""
        given = self.data.get("survival") or {}
        for name in given.keys() - SURVIVAL_MODELS.keys():
            self.problem(("survival", name), f"unknown key `{name}`; {did_you_mean(name, SURVIVAL_MODELS)}")
        options = {name: value or {} for name, value in given.items()}
        for name in options.keys() & SURVIVAL_MODELS.keys():
            kind, path = SURVIVAL_MODELS[name].options_type, ("survival", name)
            self.problems += option_problems(kind, options[name], path, self.document.written)
        return options

    def protocol(self, key: str, default: TrainingProtocol) -> TrainingProtocol:
        given = {name: value for name, value in (self.data.get(key) or {}).items() if not _is_partial(value)}
        protocol = TrainingProtocol.from_json(asdict(default) | given)
        for name, text in protocol.problems():
            self.problem((key, name), text)
        for name in ("loss", "freeze") if key == "pretrain" else ():
            if getattr(protocol, name):
                self.problem((key, name), f"`{name}` is of fine-tunings alone; move it to `finetune`")
        return protocol

    def trials(self, settings: Settings) -> list[Trial]:
        if "experiments" not in self.document.data:
            self.problem((), "no `experiments`; a list of blocks of factors is needed")
        found: list[Trial] = []
        for number, block in enumerate(self.data.get("experiments", ())):
            if block is not None:
                found += self.factors.trials(block, ("experiments", number), settings)
        if not self.problems:
            self.problems += unused_test_sets(self.data.get("datasets") or {}, found)
        return found

    def analyses(self, settings: Settings) -> Iterator[Analysis]:
        for kind, block in (self.data.get("analysis") or {}).items():
            if block is not None:
                yield self.analysis(kind, block, settings)

    def analysis(self, kind: Any, block: dict[str, Any], settings: Settings) -> Analysis:
        path: KeyPath = ("analysis", kind)
        starts, backbones, seeds = [], ["resnet18"], [0]
        if kind != "cmd":
            starts = self.factors.factor(block, "initialization", path)
            backbones = self.factors.factor(block, "backbone", path)
            seeds = self.factors.factor(block, "pretrain_seed", path)
            self.factors.weights_of_backbones({"initialization": starts, "backbone": backbones[:1]}, path)
        for n, (name, _) in enumerate(starts):
            if name in (RANDOM, NO_NETWORK, *self_supervised()):
                words = f"`{name}`: nothing was trained; {IMAGENET}, datasets and collections are accepted"
                self.problem((*path, "initialization", n), words)
        return Analysis(
            kind,
            datasets=self.probes(block, path),
            initializations=tuple(starts),
            backbone=backbones[0] if backbones else "",
            pretrain_seeds=tuple(seeds),
            options=self.options(kind, block, path),
            settings=settings,
        )

    def options(self, kind: str, block: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        from medpt.analysis.settings import Settings as CmdSettings

        if kind == "svcca":
            return {"images": int(block["images"])} if block.get("images") is not None else {}
        options: dict[str, Any] = block.get("options") or {}
        for problem in option_problems(CmdSettings, options, (*path, "options"), self.document.written):
            self.problem(*problem)
        return options

    def probes(self, block: dict[str, Any], path: KeyPath) -> tuple[tuple[str, int | None], ...]:
        """Datasets of images, with the size that their names may say."""
        names = enumerate(block.get("datasets") or ())
        found = {n: self.factors.initialization(name, (*path, "datasets", n)) for n, name in names if name}
        for n, (name, _) in found.items():
            if name in (*UNTRAINED, *self_supervised(), *COLLECTIONS, *self.factors.weights):
                self.problem((*path, "datasets", n), f"`{name}` is no dataset")
        return tuple(found.values())


def _is_partial(value: Any) -> bool:
    """Whether an item of a list was of no use."""
    return isinstance(value, list) and None in value
