"""`python -m medpt.analysis`: distances of datasets, and the effect of training on a network."""

import argparse
import os
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medpt import cli
from medpt.analysis.cmd import PAPER_SCALES
from medpt.analysis.settings import DEFAULTS, Settings
from medpt.arguments import ArgumentParser, path, whole_number
from medpt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medpt.analysis.distances import Distances

OUTPUTS = (".csv", ".npz")


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return cli.run_command(partial(options.command, options))


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(prog="python -m medpt.analysis", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    known = ", ".join(field.name for field in fields(Settings))

    command = commands.add_parser("cmd", help="convolution-based modality distance of two sets or more")
    command.set_defaults(command=_cmd)
    command.add_argument(
        "sets", metavar="SET", nargs="+", help="a dataset, a folder, or [LABEL=]MODALITY:FOLDER"
    )
    command.add_argument("--set", metavar="KEY=VALUE", nargs="+", default=[], help=f"of {known}")
    command.add_argument("--controls", action="store_true", help="mean colour, average pool, grey world")
    command.add_argument("--out", metavar="FILE", type=path, help=".csv of pairs, or .npz of all arrays")
    _images(command, at_most=400)

    command = commands.add_parser("svcca", help="similarity of two states of a network, layer by layer")
    command.set_defaults(command=_svcca)
    command.add_argument("before", metavar="BEFORE", type=path, help="init.safetensors of a pre-training")
    command.add_argument("after", metavar="AFTER", type=path, help="its best.safetensors")
    command.add_argument("--images", metavar="SET", nargs="+", required=True, help="as of cmd")
    command.add_argument("--size", type=whole_number(1), default=DEFAULTS.size, help="side in pixels")
    _images(command, at_most=2000)

    command = commands.add_parser("filters", help="first convolution: Gabor score, change, pictures")
    command.set_defaults(command=_filters)
    command.add_argument("before", metavar="BEFORE", type=path)
    command.add_argument("after", metavar="AFTER", type=path)
    command.add_argument("--out", metavar="DIR", type=path, help="gets before.png, after.png, difference.png")
    return parser


def _images(command: argparse.ArgumentParser, at_most: int) -> None:
    data = os.environ.get("MEDPT_DATA")
    command.add_argument("--data", metavar="DIR", type=path, default=data and Path(data))
    command.add_argument(
        "--at-most", metavar="N", type=whole_number(2), default=at_most, help="images of a set"
    )
    command.add_argument("--device", default="cpu")


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def settings_from(texts: list[str]) -> Settings:
    """Return DEFAULTS with KEY=VALUE of the command line; InputError names every refused key and value."""
    changes: dict[str, Any] = {}
    problems = []
    known = {field.name: type(getattr(DEFAULTS, field.name)) for field in fields(Settings)}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            problems.append(f"--set {text}: KEY=VALUE is accepted; {did_you_mean(key, known)}")
            continue
        changes[key] = _converted(value, known[key])
    try:
        settings = replace(DEFAULTS, **changes)
    except InputError as error:
        problems += [f"--set {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return settings


def _converted(value: str, kind: type) -> Any:
    """Return the value if the text has the form of its type, else the text, which the settings refuse."""
    if kind is tuple:
        return tuple(value.split(","))
    if kind is bool:
        return {"true": True, "false": False}.get(value.lower(), value)
    return int(value) if kind is int and value.isdecimal() else value


def _cmd(options: argparse.Namespace) -> None:
    settings = settings_from(options.set)
    if options.out and options.out.suffix not in OUTPUTS:
        raise InputError(f"--out {options.out}: a name that ends in {' or '.join(OUTPUTS)} is accepted")
    if len(options.sets) < 2:
        raise InputError(f"{options.sets[0]}: one set; give two or more to compare")
    sets = _sets(options.sets, options, settings.size, settings.clahe)
    from medpt.analysis.distances import controls, distances
    from medpt.analysis.sets import Progress

    networks = len(settings.inits) * settings.seeds
    found = distances(sets, settings, options.device, Progress(networks, _report))
    _print_distances(found)
    if options.controls:
        beside = controls(sets, found, options.device, Progress(2 * networks, _report))
        _print_controls(found, beside)
    if options.out:
        _write(options.out, found)
        print(f"written: {options.out}")


def _sets(
    texts: list[str], options: argparse.Namespace, size: int, clahe: bool = True
) -> "dict[str, NDArray[np.uint8]]":
    from medpt.analysis.sets import read

    return read(texts, options.data, size, at_most=options.at_most, clahe=clahe, report=_report)


def _print_distances(found: "Distances") -> None:
    from rich.table import Table

    table = Table(title="average cmd (lower = more alike; diagonal: the set with itself)")
    for column in ("", *found.names, "nearest", "images"):
        table.add_column(column, justify="left" if column in ("", "nearest") else "right")
    rows = zip(found.names, found.average, found.nearest(), found.images, strict=True)
    for name, values, nearest, images in rows:
        table.add_row(name, *(f"{value:.2f}" for value in values), nearest, str(images))
    console = cli.console()
    console.print(table)
    for init in found.per_init:
        measured, published = found.scales[init], PAPER_SCALES[init]
        console.print(
            f"epsilon of {init}: {measured:.4g} ({found.reference} with itself); paper: {published}"
        )
    used = "the paper's" if found.settings.paper_scales else "measured"
    console.print(f"used: {used} epsilon, to {found.settings.scaling}")


def _print_controls(found: "Distances", beside: "dict[str, NDArray[np.float64]]") -> None:
    from rich.table import Table

    from medpt.analysis.distances import nearest_agreement, rank_correlation

    table = Table("control", "Spearman with cmd", "same nearest", title="controls without a network")
    for name, matrix in beside.items():
        same = nearest_agreement(found.average, matrix)
        table.add_row(name, f"{rank_correlation(found.average, matrix):.3f}", f"{same:.0%}")
    cli.console().print(table)


def _write(path: Path, found: "Distances") -> None:
    import csv

    import numpy as np

    from medpt.files import replacing

    with replacing(path) as temporary:
        if path.suffix == ".npz":
            arrays: dict[str, Any] = {"names": np.array(found.names), "average": found.average}
            arrays |= {f"coordinates_{init}": cloud for init, cloud in found.coordinates.items()}
            arrays |= {f"cmd_{init}": matrix for init, matrix in found.per_init.items()}
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
            return
        with temporary.open("w", newline="") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(["a", "b", "average_cmd", *(f"cmd_{init}" for init in found.per_init)])
            for i, a in enumerate(found.names):
                for j, b in enumerate(found.names):
                    values = [found.average[i, j], *(m[i, j] for m in found.per_init.values())]
                    writer.writerow([*map(cli.spreadsheet_cell, (a, b)), *map(repr, map(float, values))])


def _svcca(options: argparse.Namespace) -> None:
    from medpt.analysis.activations import layer_similarities

    (_, before), (_, after) = _both(options)
    sets = _sets(options.images, options, options.size)
    import numpy as np
    from rich.table import Table

    images = np.concatenate(list(sets.values()))
    points = layer_similarities(before, after, images, device=options.device)
    columns = ("layer", "SVCCA", "noise floor", "rows", "channels", "weights")
    table = Table(*columns, title="1 = unchanged up to a rotation")
    for point in points:
        similar = (f"{point.similarity:.4f}", f"{point.floor:.4f}", f"{point.n:,}", str(point.p))
        table.add_row(point.layer, *similar, f"{point.weights:.4f}")
    cli.console().print(table)


def _both(options: argparse.Namespace) -> Any:
    """Return names and encoders of both files; InputError with the problems of both."""
    from medpt.analysis.activations import read_encoder

    found, problems = [], []
    for file in (options.before, options.after):
        try:
            found.append(read_encoder(file))
        except InputError as error:
            problems += error.problems
    if not problems and found[0][0] != found[1][0]:
        problems.append(f"{options.before} holds {found[0][0]}, {options.after} {found[1][0]}")
    if problems:
        raise InputError(problems)
    return found


def _filters(options: argparse.Namespace) -> None:
    from medpt.analysis import filters
    from medpt.analysis.activations import first_filters
    from medpt.analysis.gabor import gabor_score

    (_, before), (_, after) = _both(options)
    old, new = first_filters(before), first_filters(after)
    for name, weights in (("before", old), ("after", new)):
        line = f"{name}: centroid {filters.spectrum_centroid(weights):.3f} cycles a pixel, "
        line += f"anisotropy {filters.anisotropy(weights):.3f}"
        if weights.shape[-1] >= 5:
            score = gabor_score(weights)
            line += (
                f", Gabors {score.fraction:.1%}, scrambled {score.control:.1%}, mean R² {score.mean_r2:.3f}"
            )
        print(line)
    print(f"change ‖after - before‖/‖before‖: {filters.relative_change(old, new):.4f}")
    if options.out:
        pictures = {"before": filters.panel(old), "after": filters.panel(new)}
        for name, picture in (pictures | {"difference": filters.difference(old, new)}).items():
            _save(options.out / f"{name}.png", picture)


def _save(path: Path, picture: "NDArray[np.uint8]") -> None:
    from PIL import Image

    from medpt.files import replacing

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")
    print(f"written: {path}")


if __name__ == "__main__":
    sys.exit(main())
