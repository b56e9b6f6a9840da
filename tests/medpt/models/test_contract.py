from pathlib import Path

import pytest
from installed import EXAMPLE, example, installed, project

from medpt.errors import InputError
from medpt.models.contract import check_extensions
from medpt.specs import CLASSIFIER, Finetune, Pretrain

USED = {"backbone five_blocks": "example-nets 0.1"}


def finetune(backbone: str, architecture: str = CLASSIFIER) -> Finetune:
    return Finetune("random", None, "DRIVE", "0" * 64, backbone, architecture, extensions=USED)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example extension and a broken one, installed for this process."""
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(installed(tmp_path / "example", example()))
    broken = installed(tmp_path / "broken", project("broken-nets", "backbones", narrow="wrong_nets:narrow"))
    (broken / "wrong_nets.py").write_text(
        "from example_nets import FiveBlocks\n\n"
        "def narrow(output_stride):\n"
        "    network = FiveBlocks(output_stride)\n"
        "    network.channels = (3,)\n"
        "    return network\n"
    )
    monkeypatch.syspath_prepend(broken)
    return tmp_path


def test_check_extensions_accepts_the_example_extension(here: Path) -> None:
    method = Pretrain(("DRIVE",), ("0" * 64,), "five_blocks", "unet", method="denoising", extensions=USED)
    check_extensions([finetune("five_blocks", "fcn"), finetune("five_blocks"), method], 32)


def test_check_extensions_reports_all_problems_and_each_broken_backbone_once(here: Path) -> None:
    method = Pretrain(("DRIVE",), ("0" * 64,), "five_blocks", "unet", method="lost", extensions=USED)
    with pytest.raises(InputError) as error:
        check_extensions([finetune("narrow", "fcn"), finetune("narrow"), method], 32)
    lost, narrow = error.value.problems
    assert lost.startswith("method: no 'lost'")
    assert narrow.startswith("backbone 'narrow' (wrong_nets:narrow of broken-nets 1.0): `channels` is (3,)")


def test_check_extensions_ignores_units_without_extensions() -> None:
    check_extensions([Finetune("random", None, "DRIVE", "0" * 64, "no_such_backbone", CLASSIFIER)], 32)
