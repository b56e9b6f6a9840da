"""The card of an exported network: its data, protocol, test scores and licences, and how to load it.

The lines of Python in a card need torch alone (of ONNX onnxruntime); a test executes them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from grid.predictor import Predictor, Selection
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import intervals
from grid.results.display import METRIC_NAMES
from grid.results.groups import compared_groups
from grid.space.protocols import TRAINING
from grid.space.trials import IMAGENET
from grid.store.store import Store
from medpt.data import catalog
from medpt.models.weights_file import UNKNOWN
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Pretrain

if TYPE_CHECKING:
    import pandas as pd

RECORD = "record.json"
TORCHVISION = ("resnet18", "resnet50", "shufflenet_v2", "densenet121", "mobilenet_v2")
CONSTRUCTORS = {"shufflenet_v2": "shufflenet_v2_x1_0"}
INNER = ("densenet121", "mobilenet_v2")  # torchvision keeps their encoder in `features`


@dataclass(frozen=True)
class Source:
    """Data that a network was trained on, with the terms of whoever published them."""

    name: str
    use: str
    licence: str
    citation: str


def sources(selection: Selection, spec: Finetune) -> list[Source]:
    """Return the data of a fine-tuning and of what it started from; "unknown" where nobody says it."""
    plan, card = selection.plan, selection.card
    found = [Source(card.name, "fine-tuned and tested", card.licence, card.citation)]
    weights = {each.identity: each for each in plan.weights}.get(spec.weights or "")
    if weights:
        names = (UNKNOWN,) if weights.trained_on == UNKNOWN else weights.trained_on
        use = f"pre-trained, as published: {weights.name}"
        return found + [Source(name, use, weights.licence, weights.citation) for name in names]
    if spec.initialization == IMAGENET:
        names = ("ImageNet",)
    else:
        unit = plan.units.get(spec.weights or "")
        names = unit.spec.datasets if unit and isinstance(unit.spec, Pretrain) else ()
    cards = [catalog.card(name, plan.cards) for name in names]
    return found + [Source(each.name, "pre-trained", each.licence, each.citation) for each in cards]


def trained_on(selection: Selection, spec: Finetune) -> list[str]:
    """Return the names of all data that the weights were trained on."""
    return list(dict.fromkeys(source.name for source in sources(selection, spec)))


def card_lines(
    selection: Selection, predictor: Predictor, store: Store, frame: "pd.DataFrame", path: Path
) -> Iterator[str]:
    """Yield the lines of the card of the file `path`, as markdown."""
    (digest,), (network,) = selection.trials, predictor.networks
    facts = network.facts
    yield f"# {path.name}: {selection.label}"
    yield ""
    yield (
        f"A network for {facts.dataset} ({facts.modality}, {facts.task}; {len(facts.classes)} classes: "
        f"{', '.join(facts.classes)}). It is research software and no medical device. Its scores hold for "
        "images like those that it was tested on; on those of other hospitals they are often lower."
    )
    yield from (
        "",
        "## Data and licences",
        "",
        "| data | use | licence | citation |",
        "| --- | --- | --- | --- |",
    )
    for source in sources(selection, network.spec):
        cells = (source.name, source.use, source.licence, source.citation)
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield from ("", f"trained_on: {', '.join(trained_on(selection, network.spec))}. {_images(store, digest)}")
    yield from ("", "## Test scores", "", *score_lines(selection, store, frame, digest))
    yield from ("", "## Protocol", "", *protocol_lines(network.spec, facts.size))
    yield from ("", "## Use", "", *preparation_lines(predictor, path), "", "```python")
    yield from loading_lines(predictor, path)
    yield from ("```", "", f"space: {selection.plan.space}; fine-tuning: {digest}")


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _images(store: Store, digest: str) -> str:
    from medpt.files import read_json

    record = read_json(store.artifact(digest, RECORD))
    return f"{record['train_images']:,} training and {record['val_images']:,} validation images."


def score_lines(selection: Selection, store: Store, frame: "pd.DataFrame", digest: str) -> Iterator[str]:
    """Yield the headline metric with the interval of its cell, and all test metrics of this network."""
    cells = find_cells(frame)
    cell = next((each for each in cells if digest in each.digests.values()), None)
    if cell is None:  # its value was not selected, or its metric is undefined
        yield "This network is in no cell of the report, so there is no interval."
    else:
        yield _cell_line(cell, cells)
    yield from ("", "| metric of this network | test set |", "| --- | --- |")
    for metric, value in sorted(store.marker(digest).metrics.items()):
        if not metric.startswith("val_") and metric not in ("steps", "best_step", "steps_to_95"):
            yield f"| {METRIC_NAMES.get(metric, metric)} | {value:.4f} |"


def _cell_line(cell: Cell, cells: Sequence[Cell]) -> str:
    limits = intervals(compared_groups(cells)[cell.key.group])[cell.key]
    name = METRIC_NAMES.get(cell.metric, cell.metric)
    interval = "no interval" if isnan(limits.low) else f"95 % interval {limits.low:.1f} to {limits.high:.1f}"
    return f"{name}: {cell.mean:.1f} % ({interval}), the mean of {cell.n} repeats of this training."


def protocol_lines(spec: Finetune, size: int) -> Iterator[str]:
    protocol: TrainingProtocol = spec.protocol
    yield f"{spec.architecture} on {spec.backbone}, from {spec.initialization}, seed {spec.seed}."
    yield from ("", "| setting | value |", "| --- | --- |", f"| size | {size} |")
    for name in TRAINING:
        if (value := protocol.value(name)) is not None:
            yield f"| {name} | {value} |"


def preparation_lines(predictor: Predictor, path: Path) -> Iterator[str]:
    """Yield how images are prepared and what the file takes and gives."""
    (network,) = predictor.networks
    size = network.facts.size
    if path.suffix == ".safetensors":
        yield (
            f"The encoder alone, by the names of its library. {path.with_suffix('.yaml').name} makes it an "
            "initialization of a space (docs/weights.md) and has its normalisation."
        )
        return
    given = f"(N, K, {size}, {size})" if network.facts.task == "segmentation" else "(N, K)"
    yield (
        f"Input: `uint8 (N, {size}, {size}, 3)`, RGB, prepared by `{predictor.pipeline}` "
        "(`medpt.data.preprocess`). Normalisation is part of the file. "
        f"Output: probabilities `{given}` of the classes in the order above."
    )
    if network.spec.protocol.precision == "bf16":
        yield "It was tested in bfloat16 and computes in float32 here: scores can differ slightly."


def loading_lines(predictor: Predictor, path: Path) -> Iterator[str]:
    """Yield lines of Python that load the file, run in its folder."""
    (network,) = predictor.networks
    if path.suffix == ".safetensors":
        yield from encoder_lines(network.spec.backbone, path.name)
        return
    size, classes = network.facts.size, list(network.facts.classes)
    yield "import torch"
    if path.suffix == ".onnx":
        yield "import onnxruntime"
        yield f'session = onnxruntime.InferenceSession("{path.name}", providers=["CPUExecutionProvider"])'
    else:
        yield f'network = torch.export.load("{path.name}").module()'
    yield f"classes = {classes!r}"
    yield f"pixels = torch.zeros(1, {size}, {size}, 3, dtype=torch.uint8)  # replace by prepared images"
    if path.suffix == ".onnx":
        yield 'probabilities = torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])'
    else:
        yield "with torch.inference_mode():"
        yield "    probabilities = network(pixels)"
    yield "print(classes, probabilities.shape, probabilities[0].flatten()[:4])"


def encoder_lines(backbone: str, name: str) -> Sequence[str]:
    """Return lines that load an encoder into torchvision's or timm's network."""
    read = ["from safetensors.torch import load_file", f'state = load_file("{name}")']
    if backbone in TORCHVISION:
        inner = ".features" if backbone in INNER else ""
        made = f"torchvision.models.{CONSTRUCTORS.get(backbone, backbone)}(){inner}"
        imports = "import torchvision"
    elif backbone.startswith("timm/"):
        imports, made = "import timm", f'timm.create_model("{backbone[5:]}", num_classes=0)'
    else:
        return [*read, f"print(len(state))  # tensors of the extension's backbone {backbone}"]
    return [
        imports,
        *read,
        f"encoder = {made}",
        "missing, unexpected = encoder.load_state_dict(state, strict=False)",
        "assert not unexpected",
        'print("not in the file:", missing)  # the classifier of torchvision alone',
    ]
