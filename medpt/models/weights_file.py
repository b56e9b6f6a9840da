"""Weights that somebody published, described by a YAML file: which file, what fits where, and what to feed.

docs/weights.md shows the format; `python -m medpt.models inspect FILE` proposes it for a file of weights. The
weights themselves are read by `load_encoder_state`. Importing this module does not import torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from medpt.errors import InputError
from medpt.files import sha256
from medpt.identity import digest
from medpt.models.key_mapping import KeyMapping
from medpt.models.registry import check_backbone
from medpt.normalisation import Channels, Normalisation
from medpt.schema import accepts, strict_dataclass, validate, without
from medpt.yaml_document import Document, Problem, blank_problems

if TYPE_CHECKING:
    from torch import Tensor

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
NO_DIGITS = (
    "no `sha256`; it names the content of the weights: copy this description, save the weights beside it, "
    "and write the 64 digits that `sha256sum FILE` prints"
)
NUMBERS = "a list of 3 numbers, or of 1 for all channels"
UNKNOWN = "unknown"  # in `trained_on`
MAX_BYTES = 16 * 2**30  # of a file of weights
LARGEST = 1e6  # of the numbers by which images are scaled
LEAST = {"mean": -LARGEST, "std": 1e-6, "value_range": -LARGEST}


@strict_dataclass
class WeightsFile:
    """Published weights of one encoder; the fields but `path` are the keys of the YAML file.

    `file` is relative to the YAML file; without it, or while it does not exist, `url` is downloaded into
    PyTorch's folder of downloads. `strip`, `drop`, `rename` and `match` are explained in
    medpt/models/key_mapping.py. Pixels are scaled from 0..255 to `value_range`, then `mean` is subtracted and
    `std` divided out. `input_size` is the side in pixels of the images in pre-training. `trained_on` names
    the datasets, or is "unknown".
    """

    sha256: str = field(
        metadata=accepts("64 hexadecimal digits, as `sha256sum FILE` prints them", pattern=r"^[0-9a-f]{64}$")
    )
    format: Literal["safetensors", "torch"]
    backbone: str
    mean: tuple[float, ...] = field(metadata=accepts(NUMBERS))
    std: tuple[float, ...] = field(metadata=accepts(NUMBERS))
    input_size: int = field(metadata=accepts("a side in pixels: 16 to 4096", ge=16, le=4096))
    licence: str
    citation: str
    trained_on: tuple[str, ...] | Literal["unknown"] = field(
        metadata=accepts("a list of datasets, or `unknown`")
    )
    file: str | None = None
    url: str | None = field(
        default=None, metadata=accepts("an address https://...", pattern=r"^https://\S+$")
    )
    strip: str = ""
    drop: tuple[str, ...] = field(
        default=(), metadata=accepts("a list of beginnings of names, such as [fc.]")
    )
    rename: Mapping[str, str] = field(
        default_factory=dict, metadata=accepts('a mapping of beginnings of names, such as {"0.": "conv1."}')
    )
    match: Literal["name", "order"] = "name"
    channels: Literal[1, 3] = 3
    value_range: tuple[float, float] = field(
        default=(0.0, 1.0), metadata=accepts("a list of two numbers: what 0 and 255 become")
    )
    notes: str = ""
    path: str = ""  # of the YAML file

    @property
    def name(self) -> str:
        """The name by which a space asks for these weights: that of the YAML file without its suffix."""
        return Path(self.path).stem

    @property
    def identity(self) -> str:
        """The digest of what determines the initialization; neither names nor paths are part of it."""
        mapping = {"strip": self.strip, "drop": self.drop, "rename": self.rename, "match": self.match}
        content = {"sha256": self.sha256, "channels": self.channels}
        return digest(content | {"mapping": mapping, "normalisation": asdict(self.normalisation)})

    @property
    def normalisation(self) -> Normalisation:
        """How images are scaled for these weights."""
        mean, std = ((*numbers,) * (1 if len(numbers) == 3 else 3) for numbers in (self.mean, self.std))
        return Normalisation(cast(Channels, mean), cast(Channels, std), self.value_range)

    @property
    def mapping(self) -> KeyMapping:
        """How the names of the file become those of the encoder."""
        return KeyMapping(self.strip, self.drop, self.rename, self.match, self.channels)

    @property
    def file_path(self) -> Path | None:
        """The file that `file` names, which may be missing; None if the description has a `url` alone."""
        return Path(self.path).parent / self.file if self.file else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WeightsFile:
        """Build a description from `to_json`, also after JSON turned its tuples to lists."""
        weights, problems = validate(cls, dict(values))
        if weights is None:
            raise InputError([f"weights: {text}" for _, text in problems])
        return weights


def read_weights_file(path: Path) -> WeightsFile:
    """Read the description of published weights; the weights themselves are not opened.

    Raises InputError with every problem, each with file and line.
    """
    document = Document(path)
    data = document.data
    if not isinstance(data, dict):
        raise InputError(
            document.located([((), "a mapping of keys to values is accepted, see docs/weights.md")])
        )
    data = {key: value for key, value in data.items() if value is not None} | {"path": str(path)}
    weights, problems = validate(WeightsFile, data, document.written)
    if "sha256" not in data:
        problems = [(key, NO_DIGITS if key == ("sha256",) else text) for key, text in problems]
    sound = without(data, [key_path for key_path, _ in problems])
    problems += _content_problems(sound, path)
    if "path" in document.data:
        problems.append((("path",), "unknown key `path`; remove it"))
    messages = document.located(problems)
    if weights is None or messages:
        raise InputError(messages)
    return weights


def load_encoder_state(weights: WeightsFile) -> dict[str, Tensor]:
    """Return the encoder's tensors as `encoder.*`, in float32 on the CPU.

    Raises InputError if the file is missing, is not the one of `sha256`, is not one of tensors alone, or if a
    tensor of the encoder is not in it; then both lists of tensors are named, and a mapping that would fit.
    """
    from medpt.models.foreign_encoder import map_encoder
    from medpt.models.tensor_file import read_tensors

    file = _existing_file(weights)
    status = file.stat()
    if status.st_size > MAX_BYTES:
        raise InputError(f"{file}: {status.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    if (found := _content_hash(file, status.st_mtime_ns, status.st_size)) != weights.sha256:
        raise InputError(
            f"{file}: its SHA-256 is {found}, and {weights.path} has {weights.sha256}; fetch the file again, "
            "or change `sha256` if these are the weights that you mean"
        )
    return map_encoder(weights.backbone, read_tensors(file, weights.format), weights.mapping, weights.path)


@lru_cache(maxsize=256)
def _content_hash(file: Path, modified: int, size: int) -> str:
    """Hash a file once while its time of change and its size stay; every unit of a process asks."""
    return sha256(file)


def _existing_file(weights: WeightsFile) -> Path:
    """Return the file beside the YAML file, or the one that is downloaded."""
    file = weights.file_path
    if file and file.is_file():
        return file
    if not weights.url:
        raise InputError(f"{file}: no such file; {weights.path} names it as `file`")
    return _downloaded(weights.url)


def _downloaded(url: str) -> Path:
    """Return the file in PyTorch's folder of downloads, where it is fetched if it is not there."""
    from torch import hub

    target = Path(hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        hub.download_url_to_file(url, str(target), progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{url}: no download ({error}); fetch it elsewhere and save it as {target}"
        ) from error
    return target


def _content_problems(data: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """What is wrong with values of the right types."""
    if not NAME.fullmatch(path.stem):
        yield (
            (),
            f"the file is called {path.name}; a letter, then up to 39 letters, digits, and _ . - name it",
        )
    yield from _file_problems(data)
    if "backbone" in data:
        try:
            check_backbone(data["backbone"])
        except InputError as error:
            yield ("backbone",), "; ".join(error.problems)
    if data.get("match") == "order" and data.get("format") == "safetensors":
        yield ("match",), "`match` is 'order', but a safetensors file has no order; `name` is accepted"
    if data.get("trained_on") == []:
        yield ("trained_on",), "`trained_on` is empty; a list of datasets, or `unknown` is accepted"
    if "" in (data.get("drop") or ()):
        yield ("drop",), "`drop` has an empty name, which would drop all tensors; remove it"
    yield from _number_problems(data)
    yield from blank_problems(data, ("licence", "citation"))


def _file_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    if not data.get("file") and not data.get("url"):
        yield ("file",), "no `file` and no `url`; one of them is needed"
    parts = Path(data.get("file") or "").parts
    if ".." in parts or Path(data.get("file") or "").is_absolute():
        yield ("file",), f"`file` is {data['file']!r}; a path below the folder of the YAML file is accepted"
    if data.get("url") and data["url"].rpartition("/")[2] in ("", ".", ".."):
        yield ("url",), f"`url` is {data['url']!r}; an address that ends in the name of a file is accepted"


def _number_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("mean", "std"):
        if key in data and len(data[key]) not in (1, 3):
            yield (key,), f"`{key}` has {len(data[key])} numbers; {NUMBERS} is accepted"
    numbers = {key: [n for n in data.get(key) or () if n is not None] for key in LEAST}
    for key, number in ((key, number) for key, found in numbers.items() for number in found):
        if not LEAST[key] <= number <= LARGEST:
            yield (key,), f"`{key}` has {number:g}; numbers from {LEAST[key]:g} to {LARGEST:g} are accepted"
    if len(limits := numbers["value_range"]) == 2 and limits[0] >= limits[1]:
        low, high = limits
        yield ("value_range",), f"`value_range` is [{low}, {high}]; the second number must be larger"
    if isinstance(data.get("channels"), bool):  # which equals a number in Python
        yield ("channels",), f"`channels` is {str(data['channels']).lower()}; accepted: 1, 3"
