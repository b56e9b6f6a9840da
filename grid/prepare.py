"""`python -m grid.prepare NAME DIR --to DIR`: one dataset to Parquet shards, without a space."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from grid.options import command_parser
from grid.preparation.images import ShardJob, prepare_all
from grid.preparation.pipeline import Destination
from medpt import cli
from medpt.arguments import path, whole_number
from medpt.data import open_dataset
from medpt.data.fingerprint import fingerprint
from medpt.data.manifest import Manifest
from medpt.data.preprocess import ROI_KEY, canonical, pipeline_of, roi_side
from medpt.errors import InputError
from medpt.files import check_outside
from medpt.specs import Prepare

Split = Literal["official", "random"]
SIZE = 256  # of prepared images, where no option says it


def main(arguments: list[str] | None = None) -> int:
    parser = command_parser("grid.prepare", "Prepare one dataset as Parquet shards, without a space.")
    parser.add_argument("name", metavar="NAME", help="a dataset of `python -m medpt.data list`")
    parser.add_argument("folder", metavar="DIR", type=path, help="its original files, unpacked")
    parser.add_argument("--to", metavar="DIR", type=path, required=True, help="folder for the shards")
    parser.add_argument(
        "--size",
        type=whole_number(1),
        metavar="PIXELS",
        help=f"side of the prepared images (default: {SIZE})",
    )
    parser.add_argument(
        "--pipeline",
        metavar="TEXT",
        help="such as 'resize(256)|clahe(2,8)' (default: the one of the dataset or its modality)",
    )
    parser.add_argument(
        "--split",
        choices=["official", "random"],
        help="which images are tested (default: the official split, if there is one)",
    )
    options = parser.parse_args(arguments)
    return cli.run_command(partial(run, **vars(options)), options.to)


def run(
    name: str, folder: Path, to: Path, size: int | None, pipeline: str | None, split: Split | None
) -> int:
    """Prepare the dataset NAME from `folder` into `to`, and print the images of each split."""
    check_outside("--to", to, [folder])
    if pipeline and size:
        raise InputError(f"--size {size}: `--pipeline {pipeline}` has its own resize; leave one out")
    dataset = open_dataset(name, folder)
    info = dataset.info
    pipeline = pipeline or pipeline_of(info, size or SIZE)
    if roi_side(pipeline):
        raise InputError(f"{pipeline}: roi needs a disc detector, which only a grid trains: {ROI_KEY}")
    split = split or ("official" if info.official_split else "random")
    spec = Prepare(dataset.info.name, fingerprint(dataset.root), canonical(pipeline), split)
    manifest = prepare_one(ShardJob(dataset.info.name, spec, dataset, Destination(to)))
    counts = ", ".join(f"{name} {images}" for name, images in manifest.images.items())
    print(f"{manifest.dataset}: {counts}; {len(manifest.shards)} shards in {to}")
    return 0


def prepare_one(job: ShardJob) -> Manifest:
    """Run the job with a Ray of its own; raises the job's error."""
    from grid.cluster.ray_session import ray_session

    with ray_session():
        ((_, result),) = prepare_all([job], progress_printer(job))
    if isinstance(result, Exception):
        raise result
    return result


def progress_printer(job: ShardJob) -> Callable[[int], None]:
    """Return a function that counts prepared images and prints how many, their rate and the time left."""
    start, prepared = time.monotonic(), 0

    def print_progress(images: int) -> None:
        nonlocal prepared
        prepared += images
        rate = prepared / (time.monotonic() - start)
        left = (job.images - job.images_done) / max(rate, 1e-9)
        counts = f"{job.images_done:,} of {job.images:,} images"
        print(f"{counts}, {rate:.1f} a second, {left:.0f} s left", flush=True)

    return print_progress


if __name__ == "__main__":
    sys.exit(main())
