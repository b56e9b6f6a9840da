"""The keys of a space file, with the values that each accepts; docs/spaces.md explains them.

`python -m grid.space` prints this as a JSON Schema, by which editors complete and check space files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import Field

from grid.space.factors import FACTORS, MAX_IMAGES
from grid.space.protocols import PROTOCOL_FIELDS
from medpt.data.corruptions import KINDS
from medpt.frozen_specs import Mode
from medpt.protocol import TrainingProtocol
from medpt.schema import STRICT, accepts, strict_dataclass

MAX_SEED = 2**31

T = TypeVar("T")
Factor: TypeAlias = Annotated[tuple[T, ...], Field(min_length=1)] | T
Options: TypeAlias = Mapping[str, Any]
# Whole numbers may be written as 1e4, which YAML does not read as an integer
Images: TypeAlias = Annotated[
    float, Field(description=f"a whole number from 1 to {MAX_IMAGES}", ge=1, le=MAX_IMAGES, multiple_of=1)
]
SampleSize: TypeAlias = Annotated[
    Literal["all"] | Images, Field(description=f"`all`, or a whole number from 1 to {MAX_IMAGES}")
]
Probes: TypeAlias = Annotated[
    float, Field(description="a whole number from 2 to 1000000", ge=2, le=10**6, multiple_of=1)
]
Seed: TypeAlias = Annotated[
    float, Field(description=f"a whole number from 0 to {MAX_SEED}", ge=0, le=MAX_SEED, multiple_of=1)
]
Share: TypeAlias = Annotated[float, Field(description="a number from 1e-6 to 1", ge=1e-6, le=1)]
Size: TypeAlias = Annotated[
    int, Field(description="a multiple of 32 from 32 to 1024", ge=32, le=1024, multiple_of=32)
]
if TYPE_CHECKING:
    Kind: TypeAlias = str
else:
    Kind = Literal[KINDS]
Datasets: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1, description="a list of datasets")]


@strict_dataclass
class DatasetPhantom:
    """Arguments of medpt.phantom.write."""

    seed: int = field(default=0, metadata=accepts("a whole number from 0", ge=0))
    train: int | None = field(
        default=None, metadata=accepts("a number of images from 1 to 1000000", ge=1, le=10**6)
    )
    test: int | None = field(
        default=None, metadata=accepts("a number of images from 1 to 1000000", ge=1, le=10**6)
    )
    size: int | None = field(
        default=None, metadata=accepts("a height in pixels from 8 to 4096", ge=8, le=4096)
    )
    planted: float | None = field(default=None, metadata=accepts("a share from 0 to below 0.5", ge=0, lt=0.5))


@dataclass(frozen=True)
class Phantom(DatasetPhantom):
    imagenet_weights: bool = False


@strict_dataclass
class Dataset:
    folder: str | None = field(
        default=None,
        metadata=accepts("a folder below --data; with `card`, one from the space's own folder", min_length=1),
    )
    card: str | None = field(
        default=None, metadata=accepts("a dataset.yaml, from the space's own folder", min_length=1)
    )
    split: Literal["official", "random"] | None = None
    pipeline: str | None = field(
        default=None, metadata=accepts("text such as resize(256)|clahe(2,8)", min_length=1)
    )
    roi: int | None = field(default=None, metadata=accepts("a whole number from 32 to 4096", ge=32, le=4096))
    options: Options = field(default_factory=dict, metadata=accepts("a mapping of the reader's options"))
    validation_fraction: float | None = field(
        default=None, metadata=accepts("a fraction from 0 to below 1", ge=0, lt=1)
    )
    patches: Options = field(default_factory=dict, metadata=accepts("a mapping such as {candidates: 200}"))
    phantom: DatasetPhantom | None = None
    partial: bool = False
    test_also: Datasets | None = None
    corruptions: bool | tuple[Kind, ...] | None = field(
        default=None, metadata=accepts(f"true, or a list of {', '.join(KINDS)}")
    )
    subgroup: str | None = field(
        default=None, metadata=accepts("a column of the dataset's table of labels", min_length=1)
    )


def _protocol_factors() -> Any:
    """Return a schema with PROTOCOL_FIELDS, each with one value or several of its type."""
    factor: Any = Factor
    modes = ", ".join(get_args(Mode))
    types: dict[str, Any] = {"mode": Annotated[Mode, Field(description=f"one of {modes}")], "size": Size}
    for item in fields(TrainingProtocol):
        rules = {name: rule for name, rule in item.metadata.items() if name != "reason"}
        types[item.name] = Annotated[item.type, Field(**rules)]
    columns = [(name, factor[types[name]], field(default=None)) for name in PROTOCOL_FIELDS]
    return make_dataclass("ProtocolFactors", columns, namespace={"__pydantic_config__": STRICT}, frozen=True)


if TYPE_CHECKING:
    ProtocolFactors: TypeAlias = Any
    Selected: TypeAlias = Mapping[str, Literal["validation"]]
else:
    ProtocolFactors = _protocol_factors()
    Selected = Annotated[
        Mapping[Literal[PROTOCOL_FIELDS[1:]], Literal["validation"]],  # two modes are never one cell
        Field(description="a mapping of fields of the protocol to `validation`"),
    ]


@strict_dataclass
class Block:
    initialization: Factor[str]
    target: Factor[str]
    name: str | int | None = None
    sample_size: Factor[SampleSize] = FACTORS["sample_size"]
    backbone: Factor[str] = FACTORS["backbone"]
    architecture: Factor[str] = FACTORS["architecture"]
    target_size: Factor[Share] = FACTORS["target_size"]
    seed: Factor[Seed] = FACTORS["seed"]
    pretrain_seed: Factor[Seed] = FACTORS["pretrain_seed"]
    factors: ProtocolFactors | None = None


@strict_dataclass
class Cmd:
    datasets: Datasets
    options: Options | None = None


@strict_dataclass
class Svcca:
    initialization: Factor[str]
    datasets: Datasets
    backbone: Factor[str] = FACTORS["backbone"]
    pretrain_seed: Factor[Seed] = FACTORS["pretrain_seed"]
    images: Probes | None = None


@strict_dataclass
class Filters:
    initialization: Factor[str]
    backbone: Factor[str] = FACTORS["backbone"]
    pretrain_seed: Factor[Seed] = FACTORS["pretrain_seed"]


@strict_dataclass
class Analyses:
    cmd: Cmd | None = None
    svcca: Svcca | None = None
    filters: Filters | None = None


@strict_dataclass
class SpaceFile:
    title: str | int | None = None
    include: tuple[str, ...] | None = field(default=None, metadata=accepts("a list of spaces"))
    size: Size = 256
    phantom: Phantom | None = None
    datasets: Mapping[str, Dataset | None] | None = None
    pretrain: TrainingProtocol | None = None
    finetune: TrainingProtocol | None = None
    survival: Mapping[str, Options | None] | None = None
    select: Selected | None = None
    transfer_decoder: bool = False
    metrics: Literal["paper"] | None = None
    controls: bool | None = None  # None: of real data, not of synthetic ones
    random_networks: int | None = field(
        default=None, metadata=accepts("a whole number of 2 or more", ge=2)
    )  # None: by task, grid/plan/controls.py
    probes: bool = False
    keep: Literal["best", "none"] = "best"
    experiments: tuple[Block, ...] = field(
        default=(), metadata=accepts("a list of blocks of factors", min_length=1)
    )
    analysis: Analyses | None = None
