from pathlib import Path

import pytest

from medpt import precision
from medpt.precision import cpu_flags, gpu_capabilities, has_native_bf16, resolve_precision

CPUINFO = "processor : 0\nflags\t\t: fpu avx2 {}\n\nprocessor : 1\nflags : fpu\n"


@pytest.mark.parametrize(
    ("gpus", "flag", "native"),
    [
        ([], "amx_bf16", True),
        ([], "avx512_bf16", True),
        ([], "avx512f", False),
        ([8.0, 9.0], "avx512f", True),
        ([9.0, 7.5], "amx_bf16", False),
    ],
)
def test_auto_is_bf16_where_every_gpu_or_else_the_cpu_has_it(
    gpus: list[float], flag: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "gpu_capabilities", lambda: gpus)
    monkeypatch.setattr(precision, "cpu_flags", lambda: {"avx2", flag})
    has_native_bf16.cache_clear()
    assert resolve_precision("auto") == ("bf16" if native else None)
    has_native_bf16.cache_clear()


def test_cpu_flags_are_those_of_the_first_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO.format("amx_bf16"))
    assert cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "missing") == set()


@pytest.mark.parametrize(
    ("script", "found"), [("echo 8.0; echo 9.0", [8.0, 9.0]), ("echo no devices", []), ("exit 9", [])]
)
def test_gpu_capabilities_are_those_that_the_driver_prints(
    script: str, found: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_capabilities() == found


def test_gpu_capabilities_are_none_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_capabilities() == []
