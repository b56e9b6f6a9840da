"""One cohort's slides to patches, without a space: `python -m grid.slides NAME DIR --to DIR`.

Prints the counts beside the paper's Table 4.
"""

import argparse
import sys
from pathlib import Path

from grid.claims.published import cohort_counts
from grid.preparation.pipeline import Destination
from grid.preparation.slides import PatchJob, extract_all
from medpt.data import open_dataset
from medpt.data.catalog import card
from medpt.data.fingerprint import fingerprint
from medpt.errors import InputError
from medpt.specs import Slides
from medpt.survival.patch_files import CohortManifest


def table4(manifest: CohortManifest) -> list[str]:
    """Our counts beside the paper's, a line each."""
    paper = cohort_counts().get(manifest.spec.dataset, {})
    ours = manifest.table4()
    lines = [f"{manifest.spec.dataset:<20} {'ours':>9} {'paper':>9}"]
    return lines + [f"{name:<20} {count:>9,} {paper.get(name, '-'):>9}" for name, count in ours.items()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grid.slides", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="the dataset, as `python -m medpt.data list` calls it")
    parser.add_argument("folder", type=Path, help="the owner's files")
    parser.add_argument("--to", type=Path, required=True, help="where the patches go")
    parser.add_argument("--candidates", type=int, help="boxes a slide; default: as the paper's counts imply")
    parser.add_argument("--box", type=int, help="side of a box in pixels of 0.5 microns; default: 512")
    parser.add_argument("--size", type=int, help="side of a stored patch; default: 256")
    options = parser.parse_args(arguments)
    try:
        manifest = extract_one(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(table4(manifest)))
    print(", ".join(f"{count:,} {reason}" for reason, count in manifest.refused().items()))
    for problem in manifest.problems:
        print(f"left out: {problem}")
    return 0


def extract_one(options: argparse.Namespace) -> CohortManifest:
    name = card(options.name).name
    dataset = open_dataset(name, options.folder)
    given = {key: getattr(options, key) for key in ("candidates", "box", "size")}
    patches = {key: value for key, value in given.items() if value is not None}
    job = PatchJob(
        name, Slides(name, fingerprint(dataset.root), patches=patches), dataset, Destination(options.to)
    )
    from grid.cluster.ray_session import local_ray

    with local_ray():
        ((_, ended),) = extract_all([job], lambda slides: print(".", end="", flush=True))
    print()
    if isinstance(ended, Exception):
        raise ended
    return ended


if __name__ == "__main__":
    sys.exit(main())
