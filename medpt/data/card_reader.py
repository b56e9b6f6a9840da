"""Reading a card: its keys and types by the schema, then each value against its folder and the other keys."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from os.path import (  # which take a name that is too long for one that does not exist
    exists,
    isdir,
    isfile,
    islink,
)
from pathlib import Path
from typing import Any

from medpt.data.card import (
    FILE,
    FOLDS,
    IMAGE_FOLDER,
    MOST_CLASSES,
    MOST_FOLDS,
    UNLABELLED,
    DatasetCard,
    has_split_folders,
    plain,
)
from medpt.data.file_tree import walk
from medpt.data.preprocess import canonical
from medpt.data.tables import composed, header
from medpt.errors import InputError, did_you_mean
from medpt.schema import validate, without
from medpt.yaml_document import Document, Problem, blank_problems

NEEDED = {
    "classification": ("images",),
    "multilabel": ("images", "labels"),
    "segmentation": ("images", "masks"),
}
COLUMNS = ("image", "label", "patient", "split", "mask")
BACKGROUND = ("background", "bg")
TEXTS = ("licence", "citation", "title", "source")
SPLITS = ("train", "test")
SMALL = 1_000  # images; below, an answer would depend on which fifth of them is the test set
PATHS = {"images": "folder", "labels": "file", "masks": "folder"}
RESERVED = re.compile(r"random|none|ss-.*|.*-\d+k", re.IGNORECASE)  # what space files mean by such names

Problems = Iterator[Problem]


def read_card(path: Path, taken: Collection[str] = (), home: Path | None = None) -> DatasetCard:
    """Read a card, whose name must not be one of `taken`.

    `home` is the folder that its paths are relative to, by default its own. Raises InputError with every
    problem, each with file and line.
    """
    document, home = Document(path), home or path.parent
    data = _without_nulls(document.data)
    card, problems = validate(DatasetCard, data, document.written)
    if isinstance(data, dict):
        found = dict(problems)
        sound = content_problems(without(data, found), home, taken)
        problems += [problem for problem in sound if problem[0] not in found]
    messages = document.located(problems)
    if card is None or messages:
        raise InputError(messages)
    card = replace(card, pipeline=card.pipeline and canonical(card.pipeline))
    return _with_defaults(card, home) if card.reader == IMAGE_FOLDER else card


def _with_defaults(card: DatasetCard, home: Path) -> DatasetCard:
    """Fill in what a user's card leaves to its folder and its table."""
    has_split = _has_split(card, home)
    if has_split and card.split:
        text = "`split` beside a training and a test set of the data's own; remove the key, or their division"
        raise InputError(f"{home / FILE}: {text}")
    return replace(
        card,
        title=card.title or f"{card.name}, a user's dataset",
        source=card.source or f"{home.name}/{FILE}",
        folders=card.folders or (home.name,),
        official_split=has_split,
        split=card.split or _default_split(card, home, has_split),
    )


def _default_split(card: DatasetCard, home: Path, has_split: bool) -> Mapping[str, int]:
    """Split a small dataset several times: the test set of one split says little."""
    if has_split:
        return {}
    files = walk(home / str(card.images))
    return {"folds": FOLDS} if sum(1 for _ in islice(files, SMALL)) < SMALL else {}


def _has_split(card: DatasetCard, home: Path) -> bool:
    if card.labels is not None:
        return card.columns.get("split", "split") in header(home / card.labels)
    return card.task == "classification" and has_split_folders(home / str(card.images))


def _without_nulls(data: Any) -> Any:
    """Take a key without a value as absent, and numbers among the classes as names."""
    if not isinstance(data, dict):
        return data
    data = {key: value for key, value in data.items() if value is not None}
    if isinstance(classes := data.get("classes"), list):
        data["classes"] = [str(name) if type(name) is int else name for name in classes]
    return data


def content_problems(data: Mapping[str, Any], home: Path, taken: Collection[str]) -> list[Problem]:
    """Return what is wrong with values of the right types.

    `home` is the card's folder, `taken` are the names that it must not have.
    """
    problems = [*_pipeline(data), *_counts(data), *_ordinal(data), *_evaluate_by(data), *_split(data)]
    problems += [*(_of_built_in(data) if taken else ()), *blank_problems(data, TEXTS)]
    if data.get("reader", IMAGE_FOLDER) == IMAGE_FOLDER:
        problems += [
            *_name(data, taken),
            *_needed(data),
            *_classes(data),
            *_paths(data, home),
            *_columns(data),
            *_values(data),
            *_background(data),
        ]
    return problems


def _name(data: Mapping[str, Any], taken: Collection[str]) -> Problems:
    name = data.get("name", "")
    first = next((other for other in taken if plain(other) == plain(name)), None)
    if first or RESERVED.fullmatch(name):
        reason = first or "a word of space files"
        yield ("name",), f"`name` is {name!r}, which is taken ({reason}); choose another"


def _of_built_in(data: Mapping[str, Any]) -> Problems:
    """The keys that only a built-in card has."""
    if (reader := data.get("reader", IMAGE_FOLDER)) != IMAGE_FOLDER:
        yield ("reader",), f"`reader` is {reader!r}; {IMAGE_FOLDER} is accepted in a card of your own"
    if "phantom" in data:
        yield ("phantom",), "`phantom`: only built-in datasets have a synthetic version; remove the key"


def _pipeline(data: Mapping[str, Any]) -> Problems:
    try:
        canonical(data.get("pipeline", "resize(256)"))
    except InputError as error:
        for problem in error.problems:
            yield ("pipeline",), problem


def _counts(data: Mapping[str, Any]) -> Problems:
    for split, count in data.get("counts", {}).items():
        if split not in SPLITS:
            yield ("counts", split), f"unknown key `{split}`; {did_you_mean(split, SPLITS)}"
        elif count < 0:
            yield ("counts", split), f"`{split}` is {count}; a number of images is accepted"


def _needed(data: Mapping[str, Any]) -> Problems:
    task = data.get("task", "")
    if task == "survival":
        yield ("task",), f"`task` is {task!r}; {', '.join(NEEDED)} are accepted"
    for key in NEEDED.get(task, ()):
        if key not in data:
            yield (key,), f"no `{key}`; needed for {task}: {', '.join(NEEDED[task])}"
    if "official_split" in data:
        text = "`official_split`: the column `split` of `labels` decides; remove the key"
        yield ("official_split",), text


def _split(data: Mapping[str, Any]) -> Problems:
    split = data.get("split", {})
    for key in split:
        if key != "folds":
            yield ("split", key), f"unknown key `{key}`; {did_you_mean(key, ('folds',))}"
    if not 1 <= split.get("folds", 1) <= MOST_FOLDS:
        yield ("split", "folds"), f"`folds` is {split['folds']}; 1 to {MOST_FOLDS} are accepted"


def _ordinal(data: Mapping[str, Any]) -> Problems:
    if data.get("ordinal") and data.get("task") != "classification":
        text = f"`ordinal` with the task {data.get('task')!r}; it is accepted for a classification alone"
        yield ("ordinal",), text


def _evaluate_by(data: Mapping[str, Any]) -> Problems:
    if data.get("evaluate_by") and data.get("task") not in ("classification", "multilabel"):
        text = f"`evaluate_by` with the task {data.get('task')!r}; classification and multilabel are accepted"
        yield ("evaluate_by",), text


def _classes(data: Mapping[str, Any]) -> Problems:
    classes = data.get("classes", [])
    if "classes" in data and not 2 <= len(classes) <= MOST_CLASSES:
        yield ("classes",), f"`classes` has {len(classes)} names; 2 to {MOST_CLASSES} are accepted"
    for n, name in enumerate(classes):
        if name == UNLABELLED:
            yield ("classes", n), f"the class `{name}`: that word stands for unlabelled pixels"
        elif name is not None and not (name.isprintable() and name == name.strip() != ""):
            text = "a name without spaces around it and without control characters is accepted"
            yield ("classes", n), f"the class {name!r}: {text}"
        elif name is not None and any(composed(name) == composed(other or "") for other in classes[:n]):
            yield ("classes", n), f"the class `{name}` is given twice; keep one"


def _paths(data: Mapping[str, Any], home: Path) -> Problems:
    for key, kind in PATHS.items():
        path = home / data.get(key, "")
        if data.get(key) == "":
            yield (key,), f"`{key}` is ''; the name of a {kind} is accepted"
        elif key in data and (Path(data[key]).is_absolute() or ".." in Path(data[key]).parts):
            yield (key,), f"`{key}` is {data[key]!r}; a path below the folder of {FILE} is accepted"
        elif key in data and not (isfile(path) if kind == "file" else isdir(path)):
            yield (key,), f"`{key}` is {data[key]!r}: {_found_instead(path, kind)}"
    for n, name in enumerate(data.get("damaged", [])):
        if name is not None and not isfile(home / name):
            found = _found_instead(home / name, "file")
            yield ("damaged", n), f"`damaged` names {name!r}: {found}; a path from {FILE} is accepted"
    folders = [home / data[key] for key in ("images", "masks") if isdir(home / (data.get(key) or "\0"))]
    if len(folders) == 2 and folders[0].resolve().is_relative_to(folders[1].resolve()):
        yield ("masks",), f"`masks` is {data['masks']!r}, which has the images; another folder is accepted"


def _found_instead(path: Path, kind: str) -> str:
    """What lies where a `kind` belongs: another kind, a lost link, or an entry of nearly that name."""
    if exists(path):
        found = "a folder" if isdir(path) else "a file" if isfile(path) else "neither a file nor a folder"
        return f"that is {found}; a {kind} is accepted"
    if islink(path):  # False of a name that is too long
        return f"no such {kind}; it is a link to {path.readlink()}, which is missing"
    names = [entry.name for entry in path.parent.iterdir()] if isdir(path.parent) else []
    near = [name for name in names if plain(name) == plain(path.name)] or [
        name for name in names if plain(Path(name).stem) == plain(path.stem)
    ]
    return f"no such {kind}" + (f"; found: {', '.join(sorted(near)[:3])}" if near else "")


def _columns(data: Mapping[str, Any]) -> Problems:
    for key in data.get("columns", {}):
        if key not in COLUMNS:
            yield ("columns", key), f"unknown column `{key}`; {did_you_mean(key, COLUMNS)}"
    if "columns" in data and "labels" not in data:
        yield ("columns",), "`columns` without `labels`; columns are accepted for that table alone"
    if not 8 <= data.get("bits", 16) <= 16:
        yield ("bits",), f"`bits` is {data['bits']}; 8 to 16 are accepted"


def _background(data: Mapping[str, Any]) -> Problems:
    """Padding gets class 0, and dice leaves it out: the background has to be it."""
    classes, values = data.get("classes", []), data.get("values", {})
    named = [name for name in classes if str(name).casefold() in BACKGROUND]
    black = [name for name in classes if values.get(name) in (0, [0, 0, 0])]
    ground = (named or black or classes)[:1]
    if data.get("task") == "segmentation" and ground and ground[0] != classes[0]:
        text = f"the class `{ground[0]}` is the background, and `{classes[0]}` is named before it"
        yield ("classes",), f"{text}; name it first: it fills what a crop adds, and dice leaves it out"


def _values(data: Mapping[str, Any]) -> Problems:
    values = data.get("values", {})
    if values and "masks" not in data:
        yield ("values",), "`values` without `masks`; values are accepted for masks alone"
        return
    classes = list(dict.fromkeys(name for name in data.get("classes", []) if name is not None))
    for name in values if classes else ():
        if name not in (*classes, UNLABELLED):
            yield ("values", name), f"unknown class `{name}`; {did_you_mean(name, classes)}"
    for name in classes if values else ():
        if name not in values:
            yield ("values",), f"the class `{name}` has no value; every class needs one"
    yield from _check_distinct(values)


def _check_distinct(values: Mapping[str, Any]) -> Problems:
    """Each class has a value of its own, and all are grey values or all are colours."""
    first: dict[str, str] = {}
    for name, value in values.items():
        if not all(0 <= number <= 255 for number in (value if isinstance(value, list) else [value])):
            yield ("values", name), f"the value of `{name}` is {value!r}; numbers from 0 to 255 are accepted"
        elif first.setdefault(str(value), name) != name:
            yield ("values", name), f"`{name}` has the value of `{first[str(value)]}`"
    if len({isinstance(value, list) for value in values.values()}) > 1:
        yield ("values",), "grey values and colours are mixed; one kind for all classes is accepted"
