"""`python -m grid.slides NAME DIR --to DIR`: one cohort's slides to patches, without a space.

Prints the counts beside those of the paper's Table 4.
"""

import sys
from functools import partial
from pathlib import Path

from grid.claims.published import cohort_counts
from grid.options import command_parser
from grid.preparation.pipeline import Destination
from grid.preparation.slides import PatchJob, extract_all
from medpt import cli
from medpt.arguments import path, whole_number
from medpt.data import open_dataset
from medpt.data.catalog import card
from medpt.data.fingerprint import fingerprint
from medpt.errors import printable
from medpt.files import check_outside
from medpt.specs import Slides
from medpt.survival.patch_files import CohortManifest
from medpt.survival.patches import MICRONS, PatchOptions


def main(arguments: list[str] | None = None) -> int:
    parser = command_parser("grid.slides", "Cut the slides of one cohort into patches, without a space.")
    parser.add_argument("name", metavar="NAME", help="a dataset of `python -m medpt.data list`")
    parser.add_argument("folder", metavar="DIR", type=path, help="its original files")
    parser.add_argument("--to", metavar="DIR", type=path, required=True, help="folder for the patches")
    parser.add_argument(
        "--candidates",
        type=whole_number(1),
        metavar="N",
        help=f"boxes per slide (default: {PatchOptions.candidates}, as the paper's counts imply)",
    )
    parser.add_argument(
        "--box",
        type=whole_number(1),
        metavar="PIXELS",
        help=f"side of a box, at {MICRONS} microns per pixel (default: {PatchOptions.box})",
    )
    parser.add_argument(
        "--size",
        type=whole_number(1),
        metavar="PIXELS",
        help=f"side of a stored patch (default: {PatchOptions.size})",
    )
    options = vars(parser.parse_args(arguments))
    name, folder, to = (options.pop(key) for key in ("name", "folder", "to"))
    patches = {key: value for key, value in options.items() if value is not None}
    return cli.run_command(partial(run, name, folder, to, patches), to)


def run(name: str, folder: Path, to: Path, patches: dict[str, int]) -> int:
    """Extract the patches of the cohort NAME from `folder` into `to`, and print the counts."""
    check_outside("--to", to, [folder])
    name = card(name).name
    dataset = open_dataset(name, folder)
    spec = Slides(name, fingerprint(dataset.root), patches=patches)
    manifest = extract_one(PatchJob(name, spec, dataset, Destination(to)))
    print("\n".join(table4(manifest)))
    print(", ".join(f"{count:,} {reason}" for reason, count in manifest.refused().items()))
    for problem in manifest.problems:
        print(printable(f"left out: {problem}"))
    return 0


def extract_one(job: PatchJob) -> CohortManifest:
    """Run the job with a Ray of its own, a dot per slide; raises the job's error."""
    from grid.cluster.ray_session import ray_session

    with ray_session():
        ((_, result),) = extract_all([job], lambda slides: print(".", end="", flush=True))
    print()
    if isinstance(result, Exception):
        raise result
    return result


def table4(manifest: CohortManifest) -> list[str]:
    """Return our counts beside the paper's, a line each."""
    paper = cohort_counts().get(manifest.spec.dataset, {})
    lines = [f"{manifest.spec.dataset:<20} {'ours':>9} {'paper':>9}"]
    for name, count in manifest.table4().items():
        lines.append(f"{name:<20} {count:>9,} {paper.get(name, '-'):>9}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
