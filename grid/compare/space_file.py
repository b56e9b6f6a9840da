"""The two files of a comparison, dataset.yaml and compare.yaml, in the folder in which the command runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from grid.compare.schedule import Rule, Schedule
from grid.compare.sources import SPACE, Source
from grid.compare.target import Target
from grid.space import reader
from grid.space.trials import Space
from medpt.data.card import FILE
from medpt.data.card_draft import WIDTH
from medpt.data.catalog import is_built_in
from medpt.data.locate import user_cards
from medpt.errors import InputError
from medpt.files import write_text
from medpt.protocol import TrainingProtocol

USE = "# Edit it as you like: the same command, or grid.run --space, takes it as it is."


def card_of(target: Target, schedule: Schedule) -> str:
    """Return the text of the card that is written; empty where the folder has its own."""
    if not target.draft or target.card.folds == 1:
        return target.draft
    lines = [line for line in target.draft.splitlines() if not line.startswith("# split:")]
    split = f"split: {{folds: {schedule.repeats}}}".ljust(WIDTH)
    lines.append(f"{split}  # how often a fifth of the patients is drawn as the test set")
    return "\n".join(lines) + "\n"


def space_of(target: Target, sources: Sequence[Source], schedule: Schedule, command: str) -> str:
    """Return the text of the space."""
    rule = Rule()
    own = {} if target.draft else {"card": str(target.home / FILE)}
    datasets: dict[str, Any] = {target.card.name: {"card": FILE, "folder": str(target.home)} | own}
    datasets |= {name: {"partial": True} for s in sources for name in s.datasets if is_built_in(name)}
    block: dict[str, Any] = {
        "initialization": [source.name for source in sources],
        "backbone": [rule.backbone],
        "target": [target.card.name],
    }
    if target.card.folds == 1:
        block["seed"] = list(range(schedule.repeats))
    content: dict[str, Any] = {
        "title": f"which initialization for {target.card.name}",
        "size": schedule.size,
        "probes": True,
        "random_networks": schedule.random_networks,
        "datasets": datasets,
        "finetune": _fields(schedule.finetune(rule)),
    }
    if any(source.is_trained_here for source in sources):
        content["pretrain"] = _fields(schedule.pretrain(rule))
    head = f"# Written by `{command}`.\n{USE}\n"
    return head + "".join(_dumped(key, value) for key, value in (content | {"experiments": [block]}).items())


def _fields(protocol: TrainingProtocol) -> dict[str, Any]:
    names = ("learning_rate", "min_steps", "max_steps", "evaluate_every")
    return {name: getattr(protocol, name) for name in names}


def _dumped(key: str, value: Any) -> str:
    flow = None if isinstance(value, dict | list) else False  # the innermost ones on one line
    return yaml.safe_dump(
        {key: value}, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=10**6
    )


def existing(folder: Path, home: Path, data: Path | None) -> Space | None:
    """Return the space that an earlier command wrote for this folder of images; None without one.

    Raises InputError where it is of other images, and where it has mistakes.
    """
    path = folder / SPACE
    if not path.is_file():
        return None
    space = reader.load(str(path), user_cards(data), data)
    targets = sorted({trial.target for trial in space.trials})
    folders = {space.settings.of(name).folder for name in targets}
    if folders != {str(home)}:
        text = f"it compares on {', '.join(targets)}; remove or rename it, or work in another folder"
        raise InputError(f"{path}: {text}")
    return space


def write(folder: Path, card: str, space: str) -> list[Path]:
    """Write the files that are not there. Raises InputError for a dataset.yaml of something else."""
    texts = {FILE: card, SPACE: space} if card else {SPACE: space}
    written = []
    for name, text in texts.items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path}: exists already; remove or rename it, or work in another folder")
        written.append(path)
    for path, text in zip(written, texts.values(), strict=True):
        try:
            write_text(path, text)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return written
