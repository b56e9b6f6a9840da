"""`python -m grid.export --space NAME --where K=V,… --to FILE`: a fine-tuned network as one file.

FILE ends in .pt2 (torch.export), .onnx, or .safetensors (the encoder, with the YAML that makes it an
initialization). A model card is written beside it as FILE.md (docs/predict.md).
"""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from grid.options import command_parser
from grid.predictor import Selection, add_selection_arguments, load_predictor, select_trials
from grid.store.backends import is_url
from grid.store.store import Store
from medpt import cli, files
from medpt.arguments import path
from medpt.errors import InputError
from medpt.models.weights_file import UNKNOWN

if TYPE_CHECKING:
    from medpt.trained_network import TrainedNetwork

ENCODER = ".safetensors"
SUFFIXES = (".pt2", ".onnx", ENCODER)  # the first two are PROGRAMS of medpt.export, which imports torch


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    return cli.run_command(partial(export, options))


def parser() -> argparse.ArgumentParser:
    result = command_parser("grid.export", "Write a fine-tuned network of a space as one file.")
    add_selection_arguments(result)
    result.add_argument(
        "--to", required=True, type=path, metavar="FILE", help=f"a new file; accepted: {', '.join(SUFFIXES)}"
    )
    return result


def export(options: argparse.Namespace) -> None:
    """Write the file and its card, or none of them. Raises InputError unless one fine-tuning is meant."""
    from grid import results
    from grid.model_card import card_lines
    from grid.results.frame import read_plan

    check_target(path := options.to)
    if not is_url(options.out):
        files.check_outside("--to", path, [Path(options.out)])
    store = Store(options.out)
    selection = select_trials(read_plan(options.space, options.out), store, options.where, options.digest)
    if len(selection.trials) > 1:
        names = [f"  --digest {name[:12]}: {selection.plan.units[name].label}" for name in selection.trials]
        raise InputError([f"{len(names)} repeats match, and one network is exported; choose one:", *names])
    predictor = load_predictor(selection, store, "cpu")
    (network,) = predictor.networks
    frame = results.load(options.space, options.out, options.tracking_uri)
    text = "\n".join(card_lines(selection, predictor, store, frame, path)) + "\n"
    try:
        write_network(selection, network, path)
        files.write_text(path.with_suffix(".md"), text)
    except BaseException:
        for each in output_files(path):  # none of them existed
            files.remove(each)
        raise
    print(f"{selection.label}: {path}, with its card {path.with_suffix('.md').name}")


def write_network(selection: Selection, network: "TrainedNetwork", path: Path) -> None:
    """Write a network as a program, or its encoder with the YAML that describes it."""
    from grid.model_card import sources, trained_on
    from medpt.export import PROGRAMS, write_encoder

    if path.suffix in PROGRAMS:
        PROGRAMS[path.suffix](network, path)
        return
    known = sources(selection, network.spec)
    licences = "; ".join(dict.fromkeys(f"{source.name}: {source.licence}" for source in known))
    citations = "; ".join(dict.fromkeys(source.citation for source in known))
    names = trained_on(selection, network.spec)
    described = {"licence": licences, "citation": citations}
    write_encoder(network, path, described | {"trained_on": UNKNOWN if UNKNOWN in names else names})


def output_files(path: Path) -> list[Path]:
    """Return the files that an export to `path` writes."""
    return [path, path.with_suffix(".md"), *([path.with_suffix(".yaml")] if path.suffix == ENCODER else [])]


def check_target(path: Path) -> None:
    """Raise InputError for a file of another kind, and where one of the files to write exists."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"--to {path}: files of {', '.join(SUFFIXES)} are accepted")
    if taken := [str(each) for each in output_files(path) if os.path.lexists(each)]:
        raise InputError(f"--to {path}: {', '.join(taken)} exists; name a new file")


if __name__ == "__main__":
    sys.exit(main())
