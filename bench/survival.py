"""Do the survival models find a risk that slides carry, and nothing where there is none?

    python -m bench.survival [--cohort TCGA-LGG] [--patients 150] [--seeds 0 1 2] [--shuffles 4]

Phantom slides of one cohort, whose share of dense nuclei is the hazard, go to patches, to features of a
random ResNet-18 (or hand-crafted ones), through `medpt.units.survive` and to a C-index on test patients: once
as they are planted, and `--shuffles` times with the pairs (time, event) permuted over the patients before
these are split, where a leak of the follow-up would show. The marks, on means over seeds: planted 0.7 or
more, shuffled 0.5 ± 0.1. `cox` reads age and grade, which say nothing, and has to stay at 0.5 ± 0.1 in both.
Exit code 1 where a mark is missed. `km` and `spectral` get a learning rate of 1e-3 and few epochs, unless
`--own-options`. Takes 40 minutes of one core.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medpt import phantom
from medpt.data import open_dataset
from medpt.specs import HANDCRAFTED, NO_NETWORK, Features, Slides, Survive
from medpt.survival import patch_files
from medpt.survival.cohort import Cohort, open_cohort
from medpt.survival.registry import SURVIVAL_MODELS
from medpt.units import features, survive
from medpt.units.base import Job, StartingSpec, Weights

Options = Mapping[str, Mapping[str, Any]]  # by model, what differs from its own

COHORTS = ("TCGA-LGG", "TCGA-GBM")
PATCHES = {"candidates": 12, "box": 32, "size": 32}
PIXELS = 48  # of a texture; a slide is four times as long
BACKBONE = "resnet18"
PLANTED, CHANCE, MARGIN = 0.7, 0.5, 0.1
SAY_NOTHING = ("cox",)  # models whose inputs the phantom plants no risk in
QUICK: Options = {
    "km": {"learning_rate": 1e-3, "epochs": 6},
    "spectral": {"learning_rate": 1e-3, "epochs": 6},
    "wsisa-mtlsa": {},
    "deepattnmisl": {},
    "rsf": {"trees": 200},
    "boostci": {},
    "cox": {},
}


@dataclass(frozen=True)
class Row:
    """C-indices of one model: a number a seed, and a number a seed and shuffle."""

    model: str
    planted: tuple[float, ...]
    shuffled: tuple[float, ...]

    @property
    def passed(self) -> bool:
        planted, shuffled = np.mean(self.planted), np.mean(self.shuffled)
        found = abs(planted - CHANCE) <= MARGIN if self.model in SAY_NOTHING else planted >= PLANTED
        return bool(found and abs(shuffled - CHANCE) <= MARGIN)

    def __str__(self) -> str:
        numbers = [f"{np.mean(c):.3f} ({min(c):.2f} to {max(c):.2f})" for c in (self.planted, self.shuffled)]
        return f"| {self.model} | {numbers[0]} | {numbers[1]} | {'yes' if self.passed else 'NO'} |"


@dataclass(frozen=True)
class CohortInputs:
    """The inputs of units on one cohort: random weights, and the features of its patches."""

    given: Cohort
    matrix: NDArray[np.floating] | None = None

    def loader(self, digest: str) -> Any:
        raise KeyError(digest)

    def network(self, digest: str, device: str) -> Any:
        raise KeyError(digest)

    def cohort(self, digest: str) -> Cohort:
        return self.given

    def features(self, digest: str) -> Any:
        return self.matrix

    def weights(self, spec: StartingSpec) -> None:
        return None

    def initial_weights(self, spec: StartingSpec) -> Weights:
        return {}


def prepare(name: str, folder: Path, patients: int) -> Cohort:
    """Slides, Parquet files of patches and the node's copy, in `folder`; without Ray."""
    slides = phantom.write(name, folder / "slides", train=patients, test=0, size=PIXELS)
    dataset, spec = open_dataset(name, slides), Slides(name, "phantom", {}, PATCHES)
    patches = folder / "patches"
    patches.mkdir()
    infos = [patch_files.write(patches, dataset.root, record, spec) for record in patch_files.plan(dataset)]
    patch_files.write_manifest(patches, dataset, spec, infos)
    return open_cohort(patches, folder / "cache")


def shuffled(cohort: Cohort, *seed: int) -> Cohort:
    """The same slides, each patient with the time and event of another; age and grade stay."""
    patients = cohort.manifest.patients
    order = np.random.default_rng(seed).permutation(len(patients))
    others = zip(patients, (patients[row] for row in order), strict=True)
    mixed = tuple(replace(patient, time=other.time, event=other.event) for patient, other in others)
    return replace(cohort, manifest=replace(cohort.manifest, patients=mixed))


def compute_features(cohort: Cohort, backbone: str, seed: int, folder: Path) -> NDArray[np.floating]:
    initialization = NO_NETWORK if backbone == HANDCRAFTED else "random"
    spec = Features(initialization, None, cohort.manifest.spec.dataset, "phantom", backbone, seed)
    features.run(spec, CohortInputs(cohort), Job(folder, folder))
    return np.load(folder / features.FEATURES)


def c_indices(
    cohort: Cohort, chosen: Options, seed: int, folder: Path, handcrafted: NDArray[np.floating]
) -> Iterator[tuple[str, float]]:
    """(model, C-index of the test patients), each model with its options; work files in `folder`."""
    known = {HANDCRAFTED: handcrafted}
    for model, options in chosen.items():
        needs = SURVIVAL_MODELS[model].inputs
        backbone = BACKBONE if needs.network else HANDCRAFTED if needs.handcrafted else NO_NETWORK
        if needs.features and backbone not in known:
            known[backbone] = compute_features(cohort, backbone, seed, folder)
        initialization = "random" if needs.network else NO_NETWORK
        name = cohort.manifest.spec.dataset
        matrix = known.get(backbone) if needs.features or needs.handcrafted else None
        name_of_features = None if matrix is None else "features"
        spec = Survive(
            model, initialization, None, name, "phantom", name_of_features, backbone, seed, options
        )
        yield model, survive.run(spec, CohortInputs(cohort, matrix), Job(folder, folder))["c_index"]


def measure(cohort: Cohort, chosen: Options, seeds: Sequence[int], shuffles: int, folder: Path) -> list[Row]:
    """A row a model, in the order of `chosen`; each C-index goes to standard error as it comes."""
    found: dict[str, dict[str, list[float]]] = {name: {"planted": [], "shuffled": []} for name in chosen}
    handcrafted = compute_features(cohort, HANDCRAFTED, 0, folder)  # which neither a seed nor a time changes
    work = [("planted", seed, cohort) for seed in seeds]
    work += [("shuffled", seed, shuffled(cohort, seed, n)) for n in range(shuffles) for seed in seeds]
    for kind, seed, given in work:
        for model, value in c_indices(given, chosen, seed, folder, handcrafted):
            found[model][kind].append(value)
            print(f"{model}, {kind}, seed {seed}: {value:.3f}", file=sys.stderr, flush=True)
    return [Row(model, tuple(kinds["planted"]), tuple(kinds["shuffled"])) for model, kinds in found.items()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cohort", choices=COHORTS, default="TCGA-LGG")
    parser.add_argument("--patients", type=int, default=150)
    parser.add_argument("--models", nargs="+", choices=QUICK, default=list(QUICK))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--shuffles", type=int, default=4)
    parser.add_argument("--own-options", action="store_true", help="learning rate 1e-4, up to 100 epochs")
    options = parser.parse_args(arguments)
    if options.shuffles < 1:
        parser.error("--shuffles: 1 or more is accepted")
    torch.set_num_threads(1)
    chosen = {model: {} if options.own_options else QUICK[model] for model in options.models}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cohort = prepare(options.cohort, folder, options.patients)
        rows = measure(cohort, chosen, options.seeds, options.shuffles, folder)
    print(f"| {options.cohort} | planted | shuffled | as it should be |\n|---|---|---|---|")
    print("\n".join(map(str, rows)))
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
