"""One dataset to Parquet shards, without a space: `python -m grid.prepare NAME DIR --to DIR`."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grid.preparation.images import ShardJob, prepare_all
from grid.preparation.pipeline import Destination
from medpt.data import open_dataset
from medpt.data.catalog import card
from medpt.data.fingerprint import fingerprint
from medpt.data.manifest import Manifest
from medpt.data.preprocess import ROI_KEY, canonical, pipeline_of, roi_side
from medpt.errors import InputError
from medpt.specs import Prepare


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grid.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the dataset, as `python -m medpt.data list` calls it")
    parser.add_argument("folder", type=Path, help="the owner's files, unpacked")
    parser.add_argument("--to", type=Path, required=True, help="where the shards go")
    parser.add_argument("--size", type=int, default=256, help="side of the prepared images in pixels")
    parser.add_argument("--pipeline", help="in place of the modality's, such as 'resize(256)|clahe(2,8)'")
    parser.add_argument("--split", choices=["official", "random"], help="default: the owner's, if any")
    options = parser.parse_args(arguments)
    try:
        manifest = prepare_one(options.name, options.folder, options.to, options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    counts = ", ".join(f"{split} {images}" for split, images in manifest.images.items())
    print(f"{manifest.dataset}: {counts}; {len(manifest.shards)} shards in {options.to}")
    return 0


def prepare_one(name: str, root: Path, to: Path, options: argparse.Namespace) -> Manifest:
    dataset = open_dataset(name, root)
    info = card(name)
    pipeline = options.pipeline or pipeline_of(info, options.size)
    if roi_side(pipeline):
        raise InputError(f"{pipeline}: roi needs a disc detector, which only a grid trains: {ROI_KEY}")
    split: Any = options.split or ("official" if info.official_split else "random")
    spec = Prepare(dataset.info.name, fingerprint(dataset.root), canonical(pipeline), split)
    job = ShardJob(dataset.info.name, spec, dataset, Destination(to))
    from grid.cluster.ray_session import local_ray

    with local_ray():
        ((_, ended),) = prepare_all([job], _teller(job))
    if isinstance(ended, Exception):
        raise ended
    return ended


def _teller(job: ShardJob) -> Callable[[int], None]:
    """Prints, shard by shard, how far the job is, its rate since now and the time to go."""
    start, made = time.monotonic(), 0

    def tell(images: int) -> None:
        nonlocal made
        made += images
        rate = made / (time.monotonic() - start)
        left = (job.images - job.images_done) / max(rate, 1e-9)
        counted = f"{job.images_done:,} of {job.images:,} images"
        print(f"{counted}, {rate:.1f} a second, {left:.0f} s to go", flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
