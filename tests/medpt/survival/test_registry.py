import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from bags import planted

from medpt.errors import InputError
from medpt.survival import direct
from medpt.survival.registry import SURVIVAL_MODELS


@pytest.mark.parametrize("name", SURVIVAL_MODELS)
def test_registry_names_modules_with_predict_and_options(name: str) -> None:
    model = SURVIVAL_MODELS[name]
    module = import_module(f"medpt.survival.{model.module}")
    assert callable(module.predict)
    assert model.options_type(**model.options)


@pytest.mark.parametrize(("name", "clustering"), [("km", "km"), ("spectral", "sp")])
def test_model_predicts_with_its_own_and_given_options(name: str, clustering: str) -> None:
    study = planted(1)
    found = SURVIVAL_MODELS[name].predict(study, {"frozen": True, "k": 3})
    expected = direct.predict(study, direct.Options(clustering=clustering, frozen=True, k=3))
    np.testing.assert_array_equal(found.risk, expected.risk)


@pytest.mark.parametrize("name", SURVIVAL_MODELS)
def test_model_refuses_unknown_option_before_anything_runs(name: str) -> None:
    with pytest.raises(InputError, match="unknown key `sead`; known: "):
        SURVIVAL_MODELS[name].predict(planted(1), {"sead": 3})
    with pytest.raises(InputError, match=r"did you mean epochs\?"):
        SURVIVAL_MODELS["km"].predict(planted(1), {"epoch": 3})


def test_registry_is_imported_without_heavy_packages() -> None:
    program = "import sys, medpt.survival.registry; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert "medpt.survival.registry" in loaded.split()
    assert not {"torch", "sklearn", "scipy", "pandas", "cv2"} & set(loaded.split())
