"""How much a result changes when a source is pre-trained again, beside what seeds and test images change.

    python -m bench.pretraining [--steps 24] [--out DIR]

Two sources of synthetic images with three pre-trainings each, two fine-tunings of each of them and two of
random weights, run one after the other in this process (tests/support/serial.py). Prints the standard
deviations of each source, and the parts of the standard error of its gain over random weights. 400 steps take
15 minutes of a core.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from grid import results
from grid.report.variance_parts import parts_of
from grid.results.cells import Cell, find_cells
from grid.results.comparisons import differences
from grid.results.groups import compared_groups

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
SPACE = """
size: 32
phantom: {{seed: 0, train: 120, test: 120}}
controls: false
pretrain: {{learning_rate: 1e-3, min_steps: 0, max_steps: {steps}, evaluate_every: 12, patience: 9}}
finetune: {{learning_rate: 1e-3, min_steps: 0, max_steps: {steps}, evaluate_every: 12, patience: 9}}
experiments:
  - initialization: [random, ISIC2019, ADE20K]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
    pretrain_seed: [0, 1, 2]
"""


def spreads(cell: Cell) -> tuple[float, float]:
    """Return the standard deviations over seeds within a pre-training, and over the pre-trainings' means."""
    found: dict[int, list[float]] = {}
    for repeat, value in cell.values.items():
        found.setdefault(repeat.pretrain_seed, []).append(value)
    within = np.sqrt(np.mean([np.var(values, ddof=1) for values in found.values()]))
    means = [np.mean(values) for values in found.values()]
    return float(within), float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")


def show(cells: list[Cell]) -> None:
    print("| source | runs | mean | SD of seeds | SD of pre-trainings | SE if it were seeds alone |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cell in cells:
        seeds, between = spreads(cell)
        alone = seeds / np.sqrt(len({repeat.seed for repeat in cell.values}))
        print(f"| {cell.label} | {cell.n} | {cell.mean:.2f} | {seeds:.2f} | {between:.2f} | {alone:.2f} |")
    print("\n| gain over random | points | test images | seeds | pre-trainings | all | verdict | subject |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for group in compared_groups(cells).values():
        for found in differences(group):
            parts = parts_of(group, found.cell.key, found.baseline.key)
            errors = (parts.items, parts.seeds, parts.pretrainings, parts.both)
            gain = f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
            texts = [found.cell.label, gain, *(f"{value:.2f}" for value in errors), found.verdict]
            print(f"| {' | '.join(texts)} | {found.subject} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", help="a folder to keep, whose finished units are not run again")
    options = parser.parse_args()
    sys.path.insert(0, str(SUPPORT))
    import serial

    with tempfile.TemporaryDirectory(prefix="medpt-bench-") as folder:
        space, out = Path(folder) / "pretraining.yaml", Path(options.out or folder) / "runs"
        space.write_text(SPACE.format(steps=options.steps), encoding="utf-8")
        serial.run(space, None, out)
        show(find_cells(results.load(str(space), out)))


if __name__ == "__main__":
    main()
