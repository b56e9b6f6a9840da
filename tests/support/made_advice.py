"""The space of docs/queries.md, section 6, finished, with planted gains: datasets differ by their grey."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_space
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from PIL import Image

from grid.execution.worker import marker_of
from grid.plan.plan import Plan
from grid.plan.stored_plans import record_start
from grid.store.store import Store
from medpt.data import shards
from medpt.data.catalog import card
from medpt.data.manifest import ShardInfo
from medpt.files import sha256, write_json
from medpt.models import weights
from medpt.models.registry import build_encoder
from medpt.specs import Finetune, Prepare, Pretrain

SIDE, COUNT = 32, 24
PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()
SPACE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
GREY = {  # mean of a dataset's images: sources and targets lie on one line
    "CheXpert": 40,
    "ISIC2019": 120,
    "EyePACS": 200,
    "ChestXRay2017": 50,
    "STARE-CLS": 190,
    "MESSIDOR": 215,
    "REFUGE-CLS": 65,
}

Gain = Callable[[str, str], float]


def by_distance(source: str, target: str) -> float:
    """Points over random weights: the nearer the source, the more."""
    return 10 - abs(GREY[source] - GREY[target]) / 10


def images(dataset: str, count: int = COUNT) -> NDArray[np.uint8]:
    """(count, SIDE, SIDE, 3) of the dataset's grey; the odd ones have a brighter left half."""
    rng = np.random.default_rng(GREY[dataset])
    found = GREY[dataset] + rng.normal(0, 8, (count, SIDE, SIDE, 3))
    found[1::2, :, : SIDE // 2] += 15
    return np.clip(found, 0, 255).astype(np.uint8)


def state(seed: int = 0, *, dead: bool = False) -> dict[str, torch.Tensor]:
    """An encoder of random numbers; a dead one says the same of every image."""
    torch.manual_seed(seed)
    encoder = build_encoder("shufflenet_v2")
    if dead:
        torch.nn.init.zeros_(encoder.get_parameter("conv5.1.weight"))
        torch.nn.init.ones_(encoder.get_parameter("conv5.1.bias"))
    return {weights.ENCODER + name: tensor for name, tensor in encoder.state_dict().items()}


def plan(folder: Path, text: str = SPACE) -> Plan:
    return made_space.plan(folder, f"controls: false\n{text}", "hospital")


def publish(plan: Plan, out: Path, gain: Gain = by_distance, dead: tuple[str, ...] = ()) -> Store:
    """Everything finished, and in MLflow's record."""

    store = Store(out)
    store.create()
    record_start(store, plan, Path(f"{plan.space}.yaml"))
    for digest, unit in plan.units.items():
        built = store.root / "units" / "built"
        built.mkdir()
        metrics = _written(unit.spec, built, gain, dead)
        store.publish(digest, built, marker_of(unit, metrics, 0.0, 1))
    made_space.record_all(store, plan)
    return store


def _written(spec: Any, built: Path, gain: Gain, dead: tuple[str, ...]) -> dict[str, float]:
    if isinstance(spec, Prepare):
        return _prepared(spec, built)
    write_json(built / "history.json", made_space.history("auc", 0.8, 10))
    if isinstance(spec, Pretrain):
        weights.save(built / "best.safetensors", state(dead=spec.datasets[0] in dead))
        return {"val_auc": 0.8}
    assert isinstance(spec, Finetune)
    more = 0.0 if spec.initialization == "random" else gain(spec.initialization, spec.dataset)
    return {spec.metric or "auc": 0.7 + 0.01 * spec.seed + more / 100}


def _prepared(spec: Prepare, built: Path) -> dict[str, float]:
    info = card(spec.dataset)
    columns = made_space.columns("classification", len(info.classes))
    columns = {name: values[:COUNT] for name, values in columns.items()}
    columns["split"] = ["train"] * COUNT
    columns["label"] = [number % 2 for number in range(COUNT)]
    columns["image"] = [image.tobytes() for image in images(spec.dataset)]
    path = shards.shard_path(built, 0)
    shards._write_parquet(pa.table(columns, schema=shards.schema(SIDE)), path)
    facts = ShardInfo(path.name, COUNT, path.stat().st_size, sha256(path), "made")
    shards.write_manifest(built, info, spec, [facts])
    return {"images": COUNT}


def folder(home: Path, like: str) -> Path:
    """A dataset of one's own whose images are those of a made one, pixel by pixel."""
    (home / "images").mkdir(parents=True)
    rows = ["image,label"]
    for number, image in enumerate(images(like)):
        Image.fromarray(image).save(home / "images" / f"{number:03d}.png")
        rows.append(f"{number:03d}.png,{('dark', 'bright')[number % 2]}")
    (home / "labels.csv").write_text("\n".join(rows))
    (home / "dataset.yaml").write_text(
        "name: Mine\nmodality: natural\ntask: classification\nclasses: [dark, bright]\n"
        f"images: images\nlabels: labels.csv\npipeline: resize({SIDE})\n"
    )
    return home
