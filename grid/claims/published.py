"""The paper's numbers, as data: which of its cells a plan would fill, and their values.

reports/paper/*.csv hold what Wen et al. 2021 printed; they are read, never computed.
"""

import csv
from collections.abc import Iterator

from grid import package_data
from grid.plan.plan import Plan
from grid.space.trials import Trial
from medpt.specs import CLASSIFIER, NO_NETWORK

FOLDER = package_data.folder("reports") / "paper"

TARGETS = {"ChestXRay2017": "ChestXRay", "CIFAR-100": "CIFAR100"}  # our name: the paper's
INITIALIZATIONS = {"random": "Random", "imagenet*": "ImageNet*", "REFUGE-OD": "REFUGE", NO_NETWORK: "-"}
BACKBONES = {"resnet18": "ResNet-18", "shufflenet_v2": "ShuffleNet V2", "densenet121": "DenseNet-121"}
ARCHITECTURES = {
    "unet": "U-Net",
    "deeplabv3plus": "DeepLabV3+",
    "cenet": "CE-Net",
    "hynet": "HyNet",
    "etnet": "ET-Net",
}
CLUSTERINGS = {"km": "KM", "spectral": "SP"}  # of table 5, behind the backbone
SURVIVAL = {
    "wsisa-mtlsa": "WSISA + MTLSA",
    "deepattnmisl": "DeepAttnMISL",
    "rsf": "RSF",
    "boostci": "BoostCI",
    "cox": "Cox (clinical)",
}

Key = tuple[str, str, str]  # model, initialization, target as the paper writes them


def cells() -> dict[Key, tuple[str, float, float]]:
    """(table, mean, standard deviation) in per cent of every printed cell of tables 2, 3, 5 and 6."""
    return {
        (row["model"], row["initialization"], row["target"]): (
            row["table"],
            float(row["mean"]),
            float(row["std"]),
        )
        for row in _rows()
    }


def key(trial: Trial) -> Key:
    """The paper's cell that the trial is one seed of, whether it was printed or not."""
    initialization = INITIALIZATIONS.get(trial.label, trial.label)
    return model(trial), initialization, TARGETS.get(trial.target, trial.target)


def model(trial: Trial) -> str:
    """Table 2 names the backbone (a classifier, or U-Net on it), table 3 the network on ResNet-18.

    Table 5 names the backbone and the clustering, table 6 the model on ResNet-18.
    """
    backbone = BACKBONES.get(trial.backbone, f"{trial.backbone} (extension)")
    if trial.architecture in (CLASSIFIER, "unet"):
        return backbone
    if trial.architecture in CLUSTERINGS:
        return f"{backbone} + {CLUSTERINGS[trial.architecture]}"
    network = (ARCHITECTURES | SURVIVAL).get(trial.architecture, f"{trial.architecture} (extension)")
    return network if trial.backbone == "resnet18" else f"{network} on {backbone}"


def matching_cells(plan: Plan) -> list[str]:
    """`table2: 72 of 72` for each table that the plan's trials have cells in."""
    printed = cells()
    filled = {key(trial) for trial, _ in plan.trials if trial.target_size == 1} & set(printed)
    tables: dict[str, list[int]] = {}
    for name, (table, _, _) in printed.items():
        count = tables.setdefault(table, [0, 0])
        count[0] += name in filled
        count[1] += 1
    return [f"{table} {hit} of {total}" for table, (hit, total) in tables.items() if hit]


def _rows() -> Iterator[dict[str, str]]:
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
