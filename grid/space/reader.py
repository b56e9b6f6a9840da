"""A space file says what to run: YAML, read to a Space. Nothing heavy is imported here.

Every problem of a file is found in one pass and named by file and line. The format is documented in
docs/spaces.md.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from grid import package_data
from grid.space.factors import FACTORS, Factors
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
from medpt.data import catalog
from medpt.data.catalog import OWN, card
from medpt.data.dataset_collections import COLLECTIONS
from medpt.errors import InputError, did_you_mean
from medpt.protocol import TrainingProtocol
from medpt.specs import NO_NETWORK
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.yaml_document import Document
from medpt.yaml_document import KeyPath as Place

FOLDER = package_data.folder("search_spaces")
MAX_TRIALS = 50_000
PHANTOM_KEYS = (
    "seed",
    "train",
    "test",
    "size",
    "imagenet_weights",
)  # medpt.phantom.write's; grid.sources
SPACE_KEYS = (
    *("title", "include", "size", "phantom", "datasets", "pretrain", "finetune", "survival"),
    *("transfer_decoder", "experiments", "analysis"),
)
DATASET_KEYS = ("folder", "split", "pipeline", "roi", "options", "validation_fraction", "patches", "phantom")
ANALYSIS_KEYS = {  # by kind: what names its subject, then its options
    "cmd": ("datasets", "options"),
    "svcca": ("initialization", "datasets", "backbone", "images"),
    "filters": ("initialization", "backbone"),
}


def load(name_or_file: str) -> Space:
    """The space of that name in search_spaces/, or of that file.

    Raises InputError naming file, line, key and what is accepted, for all problems at once.
    """
    return read(find(name_or_file))


def find(name_or_file: str) -> Path:
    path = Path(name_or_file)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        return path
    known = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    if name_or_file not in known:
        raise InputError(f"no space is called `{name_or_file}`; {did_you_mean(name_or_file, known)}")
    return FOLDER / f"{name_or_file}.yaml"


def read(path: Path) -> Space:
    """Raises InputError naming file, line, key and what is accepted, for all problems at once."""
    return _Reader(Document(path)).space()


class _Reader:
    """Reads one document, collecting every problem before it raises."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[str] = []
        self.factors = Factors(self.problem)

    def space(self) -> Space:
        data = self.mapping(self.document.data, ())
        self.unknown_keys(data, SPACE_KEYS, ())
        settings = self.settings(data)
        included = list(self.included(data.get("include")))
        if settings.phantom is None and data.get("include"):
            settings = replace(settings, phantom=self.shared_phantom(included))
        trials = [trial for space in included for trial in space.trials]
        if "experiments" in data or not (included or data.get("analysis")):
            trials += self.trials(data.get("experiments"), settings)
        analyses = [entry for space in included for entry in space.analyses]
        analyses += self.analyses(data, settings)
        if not self.problems and len(trials) > MAX_TRIALS:
            self.problem((), f"{len(trials):,} trials; at most {MAX_TRIALS:,} in one space")
        if self.problems:
            raise InputError(self.problems)
        path, title = self.document.path, str(data.get("title", self.document.path.stem))
        merged = replace(settings, datasets=self.folders(included) | settings.datasets)
        return Space(
            path.stem, title, path, merged, tuple(dict.fromkeys(trials)), tuple(dict.fromkeys(analyses))
        )

    def problem(self, place: Place, text: str) -> None:
        self.problems.append(f"{self.document.where(place)}: {text}")

    def mapping(self, value: Any, place: Place) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(place, f"`{_name(place)}` is {value!r}; a mapping of keys to values is accepted")
            return {}
        return value

    def unknown_keys(self, data: dict[str, Any], known: Iterable[str], place: Place) -> None:
        for key in data:
            if key not in known:
                self.problem((*place, key), f"unknown key `{key}`; {did_you_mean(key, known)}")

    def included(self, names: Any) -> Iterator[Space]:
        """Other spaces, whose trials keep the settings of their own files."""
        if names is None:
            return
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.problem(("include",), f"`include` is {names!r}; a list of spaces is accepted")
            return
        for n, name in enumerate(names):
            try:
                path = find(name)
                if path.resolve() == self.document.path.resolve():
                    self.problem(("include", n), f"`{name}` includes itself")
                    continue
                found = read(path)
                if Document(path).data.get("include"):
                    self.problem(("include", n), f"`{name}` includes others itself; name those")
                yield found
            except InputError as error:
                self.problem(("include", n), f"in `{name}`:")
                self.problems += error.problems

    def shared_phantom(self, included: list[Space]) -> dict[str, Any] | None:
        """The synthetic data that all included spaces ask for alike."""
        wanted = [space.settings.phantom for space in included]
        if any(phantom != wanted[0] for phantom in wanted[1:]):
            self.problem(("include",), "the included spaces differ in `phantom`; give the one to use here")
        return wanted[0] if wanted else None

    def folders(self, included: list[Space]) -> dict[str, DatasetSettings]:
        """Where the included spaces found their data; the first that says so decides."""
        found: dict[str, DatasetSettings] = {}
        for space in reversed(included):
            found |= space.settings.datasets
        return found

    def settings(self, data: dict[str, Any]) -> Settings:
        size = data.get("size", Settings.size)
        if not isinstance(size, int) or not 32 <= size <= 1024 or size % 32:
            self.problem(("size",), f"`size` is {size!r}; a multiple of 32 from 32 to 1024 is accepted")
        phantom = self.mapping(data["phantom"], ("phantom",)) if "phantom" in data else None
        self.unknown_keys(phantom or {}, PHANTOM_KEYS, ("phantom",))
        pretrain, finetune = Settings().pretrain, Settings().finetune
        return Settings(
            size=size,
            phantom=phantom,
            datasets=self.datasets(data),
            pretrain=self.protocol(data, "pretrain", pretrain),
            finetune=self.protocol(data, "finetune", finetune),
            transfer_decoder=self.flag(data, "transfer_decoder"),
            survival=self.survival(data),
        )

    def survival(self, data: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Options by model; the models themselves check them before anything starts."""
        given = self.mapping(data.get("survival"), ("survival",))
        self.unknown_keys(given, SURVIVAL_MODELS, ("survival",))
        return {name: self.mapping(value, ("survival", name)) for name, value in given.items()}

    def flag(self, data: dict[str, Any], key: str) -> bool:
        value = data.get(key, False)
        if not isinstance(value, bool):
            self.problem((key,), f"`{key}` is {value!r}; true or false is accepted")
        return bool(value)

    def datasets(self, data: dict[str, Any]) -> dict[str, DatasetSettings]:
        found = {}
        for name, value in self.mapping(data.get("datasets"), ("datasets",)).items():
            place = ("datasets", name)
            value = self.mapping(value, place)
            self.unknown_keys(value, DATASET_KEYS, place)
            self.unknown_keys(
                self.mapping(value.get("phantom"), place), PHANTOM_KEYS[:-1], (*place, "phantom")
            )
            canonical = self.factors.dataset(name, place)
            if value.get("split") not in (None, "official", "random"):
                self.problem(
                    (*place, "split"), f"`split` is {value['split']!r}; official or random is accepted"
                )
            self.roi(canonical, value, place)
            found[canonical] = DatasetSettings(**{k: v for k, v in value.items() if k in DATASET_KEYS})
        return found

    def roi(self, dataset: str, value: dict[str, Any], place: Place) -> None:
        """A square around the optic disc: of fundus photographs, and in place of a pipeline."""
        if "roi" in value and "pipeline" in value:
            self.problem((*place, "pipeline"), "`pipeline` beside `roi`; one of them is accepted")
        if re.search(r"\broi\b", str(value.get("pipeline", ""))):
            self.problem(
                (*place, "pipeline"), "roi in a `pipeline`; the key `roi` is accepted: it plans a detector"
            )
        if "roi" not in value:
            return
        self.factors.number("roi", value["roi"], int, 32, 4096, (*place, "roi"))
        known = dataset in (*catalog.names(), *OWN)
        if known and (modality := card(dataset).modality) != "fundus":
            self.problem(
                (*place, "roi"), f"{dataset} is {modality}; `roi` is accepted with fundus photographs"
            )

    def protocol(self, data: dict[str, Any], key: str, default: TrainingProtocol) -> TrainingProtocol:
        value = self.mapping(data.get(key), (key,))
        known = [item.name for item in fields(TrainingProtocol)]
        self.unknown_keys(value, known, (key,))
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        protocol = replace(default, **given)
        for name, text in protocol.problems():
            self.problem((key, name), text)
        return protocol

    def trials(self, experiments: Any, settings: Settings) -> list[Trial]:
        if not isinstance(experiments, list) or not experiments:
            self.problem(("experiments",), "`experiments` is empty; a list of blocks of factors is accepted")
            return []
        found: list[Trial] = []
        for number, block in enumerate(experiments):
            place: Place = ("experiments", number)
            block = self.mapping(block, place)
            self.unknown_keys(block, ("name", *FACTORS), place)
            found += self.factors.trials(block, place, settings)
        return found

    def analyses(self, data: dict[str, Any], settings: Settings) -> Iterator[Analysis]:
        given = self.mapping(data.get("analysis"), ("analysis",))
        self.unknown_keys(given, ANALYSIS_KEYS, ("analysis",))
        for kind in given.keys() & ANALYSIS_KEYS.keys():
            place = ("analysis", kind)
            block = self.mapping(given[kind], place)
            self.unknown_keys(block, ANALYSIS_KEYS[kind], place)
            yield self.analysis(kind, block, place, settings)

    def analysis(self, kind: Any, block: dict[str, Any], place: Place, settings: Settings) -> Analysis:
        reader, known = self.factors, ANALYSIS_KEYS[kind]
        default = {"backbone": ["resnet18"]}
        subject = {
            key: reader.factor(default | block, key, place)
            for key in ("initialization", "backbone")
            if key in known
        }
        datasets = self.probes(block, place) if "datasets" in known else ()
        options = self.mapping(block.get("options"), (*place, "options"))
        if "images" in block:
            options = {"images": reader.number("images", block["images"], int, 2, 10**6, (*place, "images"))}
        starts = tuple(subject.get("initialization", ()))
        for n, (name, _) in enumerate(starts):
            if name in (RANDOM, NO_NETWORK, *self_supervised()):
                words = f"`{name}`: nothing was trained; {IMAGENET}, datasets and collections are accepted"
                self.problem((*place, "initialization", n), words)
        return Analysis(
            kind,
            datasets=datasets,
            initializations=starts,
            backbone=subject.get("backbone", ["resnet18"])[0],
            options=options,
            settings=settings,
        )

    def probes(self, block: dict[str, Any], place: Place) -> tuple[tuple[str, int | None], ...]:
        """Datasets of images, with the size that their names may say."""
        place = (*place, "datasets")
        names = block.get("datasets")
        if not isinstance(names, list) or not names:
            self.problem(place, f"`{_name(place)}` is {names!r}; a list of datasets is accepted")
            return ()
        found = [self.factors.initialization(name, (*place, n)) for n, name in enumerate(names)]
        for n, (name, _) in enumerate(found):
            if name in (*UNTRAINED, *self_supervised(), *COLLECTIONS):
                self.problem((*place, n), f"`{name}` is no dataset")
        return tuple(found)


def _name(place: Place) -> str:
    return ".".join(map(str, place)) or "the file"
