"""What a worker gives a unit that starts from published weights."""

from dataclasses import replace
from pathlib import Path

import published
import pytest
import torch
from memory_inputs import MemoryInputs, job_in, run_pretrain
from training_sets import shades

from grid.execution.inputs import StoreInputs, check_weights
from grid.options import RunOptions
from grid.store.store import Store
from medpt.errors import InputError
from medpt.models.weights import encoder_state, load
from medpt.models.weights_file import read_weights_file
from medpt.normalisation import Normalisation
from medpt.protocol import TrainingProtocol
from medpt.specs import PUBLISHED_WEIGHTS, Finetune, Pretrain
from medpt.units import finetune

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=2, evaluate_every=1, validation_fraction=0.2
)


def spec_of(description: Path) -> Finetune:
    weights = read_weights_file(description)
    return Finetune(
        *(PUBLISHED_WEIGHTS, weights.identity, "Toy", "data", weights.backbone, "classifier"),
        protocol=SHORT,
        normalisation=weights.normalisation.unless_default,
    )


def inputs_of(folder: Path, *descriptions: Path) -> StoreInputs:
    options = RunOptions("made", str(folder / "out"), weights_files=tuple(map(str, descriptions)))
    return StoreInputs(Store(folder / "out"), options, needs=("data",))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-training of ours."""
    folder = tmp_path_factory.mktemp("pretrained")
    spec = Pretrain(("Toy",), (), "shufflenet_v2", "classifier", protocol=SHORT)
    run_pretrain(spec, [shades(classes=3)], folder)
    return folder / "out" / "best.safetensors"


def test_weights_of_ours_under_foreign_names_give_the_metrics_of_the_direct_way(
    pretrained: Path, tmp_path: Path
) -> None:
    direct = load(pretrained)
    other = published.describe(tmp_path, "other")
    mine = published.describe(tmp_path, "mine", encoder_state(direct))
    spec = spec_of(mine)
    read = inputs_of(tmp_path, other, mine).weights(spec)
    assert read is not None
    assert read.keys() == encoder_state(direct).keys()
    assert all(torch.equal(tensor, direct[name]) for name, tensor in read.items())
    trained = replace(spec, initialization="Toy", weights="a pre-training", normalisation=None)
    ours, theirs = (
        finetune.run(each, MemoryInputs({"data": shades(train=15)}, after=weights), job_in(tmp_path / name))
        for each, weights, name in ((trained, direct, "ours"), (spec, read, "theirs"))
    )
    assert theirs == ours


def test_normalisation_of_the_weights_is_applied_in_training_and_test(
    pretrained: Path, tmp_path: Path
) -> None:
    mine = published.describe(tmp_path, "mine", encoder_state(load(pretrained)))
    spec, weights = spec_of(mine), load(pretrained)
    scaled = Normalisation((0.5,) * 3, (0.1,) * 3, (0.0, 255.0))
    found = [
        finetune.run(each, MemoryInputs({"data": shades(train=15)}, after=weights), job_in(tmp_path / name))
        for each, name in ((spec, "default"), (replace(spec, normalisation=scaled), "scaled"))
    ]
    histories = [(tmp_path / name / "out" / "history.json").read_text() for name in ("default", "scaled")]
    assert found[0] != found[1]
    assert histories[0] != histories[1]


def test_files_that_changed_since_the_plan_are_refused(tmp_path: Path) -> None:
    mine = published.describe(tmp_path, "mine")
    spec, inputs = spec_of(mine), inputs_of(tmp_path, mine)
    check_weights([spec], inputs.options)
    published.describe(tmp_path, "mine", std=[0.5])
    with pytest.raises(InputError, match=r"no longer described by .*mine.yaml; run the space again"):
        inputs.weights(spec)


def test_missing_and_damaged_files_are_refused_together_before_the_start(tmp_path: Path) -> None:
    gone, damaged = (
        published.describe(tmp_path, name, mean=[mean]) for name, mean in (("gone", 0.1), ("damaged", 0.2))
    )
    options, specs = inputs_of(tmp_path, gone, damaged).options, [spec_of(gone), spec_of(damaged)]
    damaged.with_suffix(".pth").write_bytes(b"no tensors")
    gone.with_suffix(".pth").unlink()
    with pytest.raises(InputError) as refused:
        check_weights(specs, options)
    assert len(refused.value.problems) == 2
    assert "gone.pth: no such file" in refused.value.problems[0]
    assert "damaged.pth: its SHA-256 is" in refused.value.problems[1]
