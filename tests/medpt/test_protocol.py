import subprocess
import sys

import pytest

from medpt import selfsupervised
from medpt.protocol import TrainingProtocol
from medpt.units import pretrain


@pytest.mark.parametrize(
    ("images", "batch", "steps"),
    [(16, 16, 5_000), (4_000, 16, 5_000), (4_001, 16, 5_002), (5_232, 16, 6_540), (50_000, 16, 20_000)],
)
def test_twenty_epochs_but_no_fewer_than_5000_steps_and_no_more_than_20000(
    images: int, batch: int, steps: int
) -> None:
    found = selfsupervised.protocol(images, TrainingProtocol(batch_size=batch, learning_rate=3e-4))
    assert (found.max_steps, found.evaluate_every, found.patience) == (steps, 250, 20)
    assert (found.learning_rate, found.batch_size) == (3e-4, batch)
    assert found.problems() == []


def test_a_base_that_trains_longer_is_cut_to_what_its_methods_take() -> None:
    found = selfsupervised.protocol(20, TrainingProtocol(min_steps=50_000, max_steps=60_000))
    assert (found.min_steps, found.max_steps) == (5_000, 5_000)


def test_the_methods_that_are_named_are_those_that_run() -> None:
    assert {pretrain.SUPERVISED, *selfsupervised.METHODS} == set(pretrain.METHODS)


def test_a_plan_needs_no_torch_to_know_them() -> None:
    code = "import sys, medpt.selfsupervised; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
