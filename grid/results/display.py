"""How cells are written, and how tables, charts and sentences name metrics, networks and targets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from grid.space.protocols import PROTOCOL_FIELDS, Values, describe_difference, differs
from medpt.data.dataset_collections import COLLECTIONS
from medpt.models.weights_file import UNKNOWN
from medpt.specs import CLASSIFIER
from medpt.survival import registry

if TYPE_CHECKING:
    from grid.plan.plan import Plan
    from grid.results.cells import Cell, CellKey

Protocols = Mapping[str, Values]  # settings by the hash of the protocol
Style = Literal["text", "latex", "html"]

METRIC_NAMES = {
    "auc": "micro-AUC",
    "macro_auc": "ROC-AUC",  # of several classes the mean over one class against the rest
    "kappa": "quadratic kappa",
    "miou": "mean IoU",
    "c_index": "C-index",
    "c_index_ipcw": "C-index by Uno",
    "integrated_brier": "integrated Brier score",
}
NETWORKS = {
    "unet": "U-Net",
    "deeplabv3plus": "DeepLabV3+",
    "cenet": "CE-Net",
    "hynet": "HyNet (reconstruction)",
    "etnet": "ET-Net",
}
BACKBONES = {
    "resnet18": "ResNet-18",
    "shufflenet_v2": "ShuffleNet V2",
    "densenet121": "DenseNet-121",
    "resnet50": "ResNet-50",
    "mobilenet_v2": "MobileNet V2",
}
SURVIVAL_MODELS = {  # the first two stand behind the backbone, as in the paper's table 5
    "km": "KM",
    "spectral": "SP",
    "wsisa-mtlsa": "WSISA + MTLSA",
    "deepattnmisl": "DeepAttnMISL",
    "rsf": "RSF",
    "boostci": "BoostCI",
    "cox": "Cox on clinical data (not in the paper)",
}


def network_name(architecture: str, backbone: str) -> str:
    """Return the name that people write: `U-Net / ResNet-18`; names of extensions stay as they are."""
    encoder = BACKBONES.get(backbone, backbone)
    if known := registry.SURVIVAL_MODELS.get(architecture):
        model, needs = SURVIVAL_MODELS[architecture], known.inputs
        if needs.network and needs.features and needs.pixels:
            return f"{encoder} + {model}"
        return f"{model} / {encoder}" if needs.network else model
    return (
        encoder if architecture == CLASSIFIER else f"{NETWORKS.get(architecture, architecture)} / {encoder}"
    )


def bracketed(name: str, settings: str) -> str:
    """Return `name`, with the settings behind it where it has any."""
    return f"{name} [{settings}]" if settings else name


def column_name(target: str, target_size: float) -> str:
    """Return `DRIVE`, or `DRIVE, 10 %` where that share of its training images is used."""
    return target if target_size == 1 else f"{target}, {100 * target_size:g} %"


def notes_of(plan: "Plan") -> dict[str, str]:
    """Return what tables say behind the name of a dataset or of published weights.

    Datasets of which the run had a part have the number of its images.
    """
    unknown = {each.name: "trained on: unknown" for each in plan.weights if each.trained_on == UNKNOWN}
    return unknown | {name: f"{images:,} images" for name, images in plan.partial.items()}


def initialization_name(key: "CellKey", notes: Mapping[str, str]) -> str:
    """Return `EyePACS (1,098 images)` or `EyePACS-600 (of 1,098 images)` where the run had a part of EyePACS.

    `notes` are those of `notes_of`; those of a collection's datasets are named behind it.
    """
    if collection := COLLECTIONS.get(key.source):
        parts = [f"{name}: {notes[name]}" for name in collection.datasets if name in notes]
        return f"{key.initialization} ({', '.join(parts)})" if parts else key.initialization
    if key.source not in notes:
        return key.initialization
    of = "of " if key.sample_size else ""
    return f"{key.initialization} ({of}{notes[key.source]})"


def target_name(target: str, notes: Mapping[str, str]) -> str:
    """Return `HRF (42 images)` where the run had a part of HRF."""
    return f"{target} ({notes[target]})" if target in notes else target


class Differences(NamedTuple):
    """In what the protocols of a cell differ from those of other cells; a text is empty where nothing does.

    `settings` is of its network and target, `others` the same without the fields of the training protocol,
    whose names are `varied`; `source` is of its source.
    """

    settings: str
    others: str
    varied: tuple[str, ...]
    source: str


def protocol_differences(
    keys: Collection["CellKey"], protocols: Protocols
) -> Mapping["CellKey", Differences]:
    """Say of each cell in what its protocol differs from those of its network and target, and of its source.

    `protocols` gives the settings of each hash.
    """
    own: dict[Any, set[str]] = {}
    sources: dict[Any, set[str]] = {}
    for key in keys:
        own.setdefault(key.group[:-1], set()).add(key.protocol)
        sources.setdefault((key.source, key.group[:-1]), set()).add(key.source_protocol)
    networks = {network: _network_differences(hashes, protocols) for network, hashes in own.items()}
    texts = {source: _differences(hashes, protocols) for source, hashes in sources.items()}
    return {
        key: Differences(
            *networks[key.group[:-1]][key.protocol], texts[key.source, key.group[:-1]][key.source_protocol]
        )
        for key in keys
    }


def _network_differences(
    hashes: Collection[str], protocols: Protocols
) -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    """Return the first three of `Differences` by protocol."""
    texts = _differences(hashes, protocols)
    known = [protocols.get(name, {}) for name in hashes]
    varied = tuple(name for name in PROTOCOL_FIELDS if differs(name, known))
    others = describe_difference(protocols, hashes, without=varied) if varied else texts
    return {name: (texts[name], others[name], varied) for name in hashes}


def _differences(hashes: Collection[str], protocols: Protocols) -> dict[str, str]:
    """Name protocols by their hashes where frames were joined, which keep no settings."""
    if len(hashes) == 1:
        return dict.fromkeys(hashes, "")
    texts = describe_difference(protocols, hashes)
    return {name: text or f"protocol {name or 'unknown'}" for name, text in texts.items()}


@dataclass(frozen=True)
class _Form:
    """The parts of a written cell: each takes its text or number instead of {}."""

    spread: str
    count: str
    none: str  # instead of a mean


FORMS: dict[Style, _Form] = {
    "text": _Form(" ± {:.2f}", " ({})", "–"),
    "latex": _Form(" $\\pm$ {:.2f}", " ({})", "--"),
    "html": _Form(' <span class="pm">± {:.2f}</span>', ' <small class="short">{}</small>', "–"),
}


def format_mean(mean: float, std: float, n: int, planned: int, style: Style = "text") -> str:
    """Write a mean as `82.13 ± 1.40 (2 of 3)`, with the count only where repeats are not finished."""
    form, count = FORMS[style], f"{n} of {planned}"
    if not n:
        return form.none + form.count.format(count)
    spread = form.spread.format(std) if n > 1 else ""
    return f"{mean:.2f}{spread}" + (form.count.format(count) if n < planned else "")


def format_cell(cell: "Cell", style: Style = "text") -> str:
    """Write a cell as `format_mean` does; without a mean as `failed (0 of 3)`, `blocked` or `undef`.

    `undef` is a metric that finished repeats do not have, such as the AUC of a test set of one class.
    """
    text = format_mean(cell.mean, cell.std, cell.n, cell.planned, style)
    return text if cell.n or not cell.word else text.replace(FORMS[style].none, cell.word, 1)
