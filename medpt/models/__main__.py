"""Commands about networks: `python -m medpt.models inspect FILE` proposes the YAML of a file of weights."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medpt import cli
from medpt.arguments import ArgumentParser, path
from medpt.errors import InputError
from medpt.files import sha256
from medpt.grouping import grouped
from medpt.models.registry import BACKBONES

if TYPE_CHECKING:
    from torch import Tensor

    from medpt.models.mapping_proposals import Proposal

LINES = 15  # of groups of tensors
CONFIRM = """\
mean: [0.485, 0.456, 0.406]  # confirm: these are ImageNet's; the file does not say what it was trained with
std: [0.229, 0.224, 0.225]  # confirm
value_range: [0, 1]  # confirm: what 0 and 255 become before mean and std
input_size: 224  # confirm
licence: not stated  # look it up
citation: not stated  # look it up
trained_on: unknown  # confirm: a list of the datasets, also those of an earlier pre-training"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="python -m medpt.models", description=__doc__)
    commands = parser.add_subparsers(required=True)
    inspect = commands.add_parser("inspect", help="show a file's tensors and propose its YAML")
    inspect.add_argument(
        "file", type=path, metavar="FILE", help="weights as .safetensors, .pth, .pt or .ckpt"
    )
    inspect.add_argument("--backbone", help="the encoder (default: the built-in one that fits best)")
    inspect.set_defaults(run=_inspect)
    measure = commands.add_parser("measure", help="measure the built-in networks anew (footprints.json)")
    measure.set_defaults(run=_measure)
    options = parser.parse_args(arguments)
    return cli.run_command(lambda: options.run(options))


def _measure(_: argparse.Namespace) -> None:
    from medpt.models import footprint

    footprint.write()


def _inspect(options: argparse.Namespace) -> int:
    from medpt.models.tensor_file import file_format, read_tensors

    file: Path = options.file
    if not file.is_file():
        raise InputError(f"{file}: no such file; weights in safetensors or PyTorch format are expected")
    kind = file_format(file)
    tensors = read_tensors(file, kind)
    console = cli.console()
    for line in _tensor_lines(tensors):
        console.print(f"# {line}")
    found = _best(tensors, [options.backbone] if options.backbone else BACKBONES)
    if not found:
        console.print(_no_proposal(options.backbone))
        return 1
    for line in _yaml_lines(file, kind, found):
        console.print(line)
    return 0


def _no_proposal(backbone: str | None) -> str:
    if backbone:
        return f"# no mapping was found by which the file fits {backbone}; is this another network?"
    return "# no built-in backbone fits; name another one with --backbone, such as timm/NAME"


def _tensor_lines(tensors: "Mapping[str, Tensor]") -> Iterator[str]:
    """What is in the file: a line for each group of tensors, by the beginnings of their names."""
    yield f"{cli.count(len(tensors), 'tensor')}, {sum(t.numel() for t in tensors.values()):,} numbers"
    depth = 1
    while depth < 5 and len(_groups(tensors, depth + 1)) <= LINES:
        depth += 1
    groups = _groups(tensors, depth)
    for name, members in list(groups.items())[:LINES]:
        first = tensors[members[0]]
        shape = "×".join(map(str, first.shape)) or "scalar"
        yield f"  {name:<40} {cli.count(len(members), 'tensor')}, the first {shape}"
    if len(groups) > LINES:
        yield f"  ... and {len(groups) - LINES} more groups"


def _groups(tensors: "Mapping[str, Tensor]", depth: int) -> dict[str, list[str]]:
    return grouped(tensors, lambda name: ".".join(name.split(".")[:depth]))


def _best(tensors: "Mapping[str, Tensor]", backbones: Sequence[str]) -> "list[tuple[str, Proposal]]":
    """The proposals for the backbone that fits best; none if no backbone fits."""
    from medpt.models.mapping_proposals import propose
    from medpt.models.weights import expected_tensors

    found = []
    for backbone in backbones:
        proposals = propose(expected_tensors(backbone), tensors)
        found.append([(backbone, proposal) for proposal in proposals])
    return max(found, key=lambda pairs: pairs[0][1].matched / pairs[0][1].total if pairs else 0)


def _yaml_lines(file: Path, kind: str, found: "list[tuple[str, Proposal]]") -> Iterator[str]:
    """The YAML file, with a comment wherever somebody has to look something up."""
    backbone, proposal = found[0]
    for _, other in found[1:]:
        yield f"# or: {other.text}"
    yield f"# save as initializations/NAME.yaml; {proposal.text}"
    if proposal.matched < proposal.total:
        yield "# not all tensors of the encoder are found: medpt will refuse this file as it is"
    yield f"file: {json.dumps(file.name)}"
    yield f"sha256: {sha256(file)}"
    yield f"format: {kind}"
    yield f"backbone: {backbone}"
    yield from _mapping_lines(proposal)
    yield from CONFIRM.splitlines()


def _mapping_lines(proposal: "Proposal") -> Iterator[str]:
    mapping = proposal.mapping
    if mapping.strip:
        yield f"strip: {json.dumps(mapping.strip)}"
    if mapping.drop:
        yield f"drop: {json.dumps(mapping.drop)}  # confirm: the classifier and other networks"
    if mapping.rename:
        yield f"rename: {json.dumps(mapping.rename)}  # confirm: layers by their numbers"
    if mapping.match == "order":
        yield "match: order  # confirm: the names do not fit, the shapes in their order do"
    if mapping.channels == 1:
        yield "channels: 1"


if __name__ == "__main__":
    raise SystemExit(main())
