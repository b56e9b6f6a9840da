"""Which precision `auto` stands for: bf16 where this machine computes with it natively, else fp32.

PyTorch is not imported, since `--dry-run` asks.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

CPU_FLAGS = {"amx_bf16", "avx512_bf16"}
LEAST_CAPABILITY = 8.0  # of CUDA: Ampere
SECONDS = 10.0  # for the driver's answer


def resolve_precision(given: str | None) -> Literal["bf16"] | None:
    """Return "bf16", or None for float32, of `fp32`, `bf16`, `auto` or None.

    `auto` asks the GPUs of this machine or, where it has none, its CPU.
    """
    return "bf16" if given == "bf16" or (given == "auto" and has_native_bf16()) else None


@cache
def has_native_bf16() -> bool:
    """Whether every GPU of this machine, or without one its CPU, has instructions for bfloat16."""
    capabilities = gpu_capabilities()
    if capabilities:
        return min(capabilities) >= LEAST_CAPABILITY
    return bool(CPU_FLAGS & cpu_flags())


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return the flags of the first processor; none where the system has no such file."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def gpu_capabilities() -> list[float]:
    """Return the CUDA capability of each GPU; none where NVIDIA's driver is absent or does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        return [float(line) for line in answer.stdout.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
