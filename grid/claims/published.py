"""The paper's numbers, as data: which of its cells a plan would fill, and their values.

reports/paper/*.csv hold what Wen et al. 2021 printed; they are read, never computed.
"""

import csv
from collections.abc import Iterator

from grid import package_data
from grid.plan.plan import Plan
from grid.results import display
from grid.results.cells import CellKey
from grid.space.trials import Trial
from medpt.specs import CLASSIFIER, NO_NETWORK

FOLDER = package_data.folder("reports") / "paper"

TARGETS = {"ChestXRay2017": "ChestXRay", "CIFAR-100": "CIFAR100"}  # our name: the paper's
INITIALIZATIONS = {"random": "Random", "imagenet*": "ImageNet*", "REFUGE-OD": "REFUGE", NO_NETWORK: "-"}
NETWORKS = display.NETWORKS | display.SURVIVAL_MODELS | {"hynet": "HyNet", "cox": "Cox (clinical)"}
CLUSTERINGS = ("km", "spectral")  # of table 5, named behind the backbone

Key = tuple[str, str, str]  # model, initialization, target as the paper writes them


def cells() -> dict[Key, tuple[str, float, float]]:
    """(table, mean, standard deviation) in per cent of every printed cell of tables 2, 3, 5 and 6."""
    return {
        (row["model"], row["initialization"], row["target"]): (
            row["table"],
            float(row["mean"]),
            float(row["std"]),
        )
        for row in rows()
    }


def key_of_cell(cell: CellKey) -> Key:
    """Return the paper's name of a cell, whether it was printed or not."""
    return _key(cell.initialization, cell.backbone, cell.architecture, cell.target)


def key_of_trial(trial: Trial) -> Key:
    """Return the paper's name of the cell that the trial is one seed of."""
    return _key(trial.label, trial.backbone, trial.architecture, trial.target)


def _key(label: str, backbone: str, architecture: str, target: str) -> Key:
    initialization = INITIALIZATIONS.get(label, label)
    return model(backbone, architecture), initialization, TARGETS.get(target, target)


def model(backbone: str, architecture: str) -> str:
    """Return the paper's name of a network.

    Table 2 names the backbone (a classifier, or U-Net on it), table 3 the network on ResNet-18; table 5 the
    backbone and the clustering, table 6 the model on ResNet-18.
    """
    encoder = display.BACKBONES.get(backbone, f"{backbone} (extension)")
    if architecture in (CLASSIFIER, "unet"):
        return encoder
    if architecture in CLUSTERINGS:
        return f"{encoder} + {NETWORKS[architecture]}"
    network = NETWORKS.get(architecture, f"{architecture} (extension)")
    return network if backbone == "resnet18" else f"{network} on {encoder}"


def matching_cells(plan: Plan) -> list[str]:
    """`table2: 72 of 72` for each table that the plan's trials have cells in."""
    printed = cells()
    filled = {key_of_trial(trial) for trial, _ in plan.trials if trial.target_size == 1} & set(printed)
    tables: dict[str, list[int]] = {}
    for name, (table, _, _) in printed.items():
        count = tables.setdefault(table, [0, 0])
        count[0] += name in filled
        count[1] += 1
    return [f"{table} {hit} of {total}" for table, (hit, total) in tables.items() if hit]


def rows() -> Iterator[dict[str, str]]:
    """Yield the printed cells of tables 2, 3, 5 and 6, as they stand in the CSV files."""
    for number in (2, 3, 5, 6):
        with (FOLDER / f"table{number}.csv").open(newline="") as file:
            yield from csv.DictReader(file)


def cohort_counts() -> dict[str, dict[str, str]]:
    """Table 4 of the paper: dataset to row to count."""
    found: dict[str, dict[str, str]] = {}
    with (FOLDER / "prose.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["note"].startswith("Table 4"):
                found.setdefault(row["target"], {})[row["metric"]] = f"{int(row['mean']):,}"
    return found
