import subprocess
import sys

import numpy as np
import pytest
from bags import planted

from medpt.errors import InputError
from medpt.survival import direct
from medpt.survival.models import SURVIVAL_MODELS
from medpt.survival.needs import NEEDS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_model_says_what_it_needs() -> None:
    assert list(SURVIVAL_MODELS) == list(NEEDS)


@pytest.mark.parametrize(("name", "clustering"), [("km", "km"), ("spectral", "sp")])
def test_a_name_and_options_as_plain_data_run_the_model(name: str, clustering: str) -> None:
    study = planted(1)
    found = SURVIVAL_MODELS[name](study, {"frozen": True, "k": 3})
    expected = direct.predict(study, direct.Options(clustering=clustering, frozen=True, k=3))
    np.testing.assert_array_equal(found.risk, expected.risk)


@pytest.mark.parametrize("name", SURVIVAL_MODELS)
def test_an_option_that_no_model_has_is_refused_before_anything_runs(name: str) -> None:
    with pytest.raises(InputError, match="sead: "):
        SURVIVAL_MODELS[name](planted(1), {"sead": 3})
    with pytest.raises(InputError, match=r"did you mean epochs\?"):
        SURVIVAL_MODELS["km"](planted(1), {"epoch": 3})


def test_the_names_are_known_without_torch() -> None:
    program = "import sys, medpt.survival.models; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert "medpt.survival.models" in loaded.split()
    assert not {"torch", "sklearn", "scipy", "pandas", "cv2"} & set(loaded.split())
