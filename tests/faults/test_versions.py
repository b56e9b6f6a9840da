"""Code that computes other numbers has another version: its results stand beside the old ones."""

from pathlib import Path

import made_space
import pytest

from medpt.specs import Pretrain

TEXT = """
title: two units of each kind
size: 32
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [DRIVE]
    seed: [0]
"""


def test_raised_version_does_again_what_depends_on_it_and_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made_space.plan(tmp_path, TEXT)
    store = made_space.publish(before, tmp_path / "out", set(), {})
    monkeypatch.setattr(Pretrain, "version", Pretrain.version + 1)
    after = made_space.plan(tmp_path, TEXT)
    todo = {after.units[name].label for name in after.units if not store.is_finished(name)}
    assert todo == {"ISIC2019 · shufflenet_v2", "ISIC2019 → DRIVE · unet/shufflenet_v2 · 0"}
    assert store.finished() == set(before.units)
    monkeypatch.undo()
    assert all(map(store.is_finished, made_space.plan(tmp_path, TEXT).units))
