"""The CPUs that this process may use: what a run gives to Ray, and what `grid.doctor` counts."""

import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
UNLIMITED = ("max", "-1")
SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")  # the first that is set counts


def usable_cpus(environment: Mapping[str, str] = os.environ, cgroups: Path = CGROUPS) -> int:
    """Return the smallest of affinity, quota of the container, and Slurm's allocation; at least one."""
    limits = [_affinity(), *_quotas(_own_cgroups(), cgroups), *_of_slurm(environment)]
    return max(1, min(limits))


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the type of the CPU as the kernel names it; only the architecture where it has no name.

    Results are equal to the last bit on one type.
    """
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _affinity() -> int:
    """Return the CPUs that this process is bound to; all of them where a system has no affinity (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own_cgroups() -> list[str]:
    """Return the lines of the kernel about this process: HIERARCHY:CONTROLLERS:PATH."""
    try:
        return Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _quotas(own: Iterable[str], cgroups: Path) -> list[int]:
    """Return the CPUs that the groups of this process and each group above them may use at once."""
    found = []
    for line in own:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = cgroups / controllers  # of version 1; version 2 names no controllers
        folder = mount / path.strip("/")
        groups = [group for group in (folder, *folder.parents) if group.is_relative_to(mount)]
        found += [quota for group in groups for quota in _quota(group)]
    return found


def _quota(group: Path) -> list[int]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            texts = [(group / name).read_text(encoding="utf-8") for name in names]
            quota, period = " ".join(texts).split()
            return [max(1, int(quota) // int(period))] if quota not in UNLIMITED else []
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return []


def _of_slurm(environment: Mapping[str, str]) -> list[int]:
    given = [environment[name] for name in SLURM if environment.get(name, "").isdigit()]
    return [int(given[0])] if given else []
