"""The CPUs that this process may use: what a run gives to Ray, and what `grid.doctor` counts."""

import os
from collections.abc import Mapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")  # the first that is set counts


def usable_cpus(environment: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS) -> int:
    """Return the smallest of affinity, quota of the container, and Slurm's allocation; at least one."""
    limits = [_affinity(), *_quotas(_own_cgroup(), cgroups), *_of_slurm(environment)]
    return max(1, min(limits))


def _affinity() -> int:
    """Return the CPUs that this process is bound to; all of them where a system has no affinity (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own_cgroup() -> str:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), "")


def _quotas(own: str, cgroups: Path) -> list[int]:
    """Return the CPUs that the group of this process and each group above it may use at once."""
    folder = cgroups / own
    groups = [folder, *folder.parents]
    return [quota for group in groups if group.is_relative_to(cgroups) for quota in _quota(group)]


def _quota(group: Path) -> list[int]:
    try:
        most, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        return [] if most == "max" else [int(most) // int(period)]
    except (OSError, ValueError):
        return []


def _of_slurm(environment: Mapping[str, str]) -> list[int]:
    given = [environment[name] for name in SLURM if environment.get(name, "").isdigit()]
    return [int(given[0])] if given else []
