"""How many CPUs a run may use."""

import os
from pathlib import Path

import pytest

from grid.cluster import cpus
from grid.cluster.cpus import usable_cpus

HERE = len(os.sched_getaffinity(0))


def test_usable_cpus_are_those_of_the_affinity(tmp_path: Path) -> None:
    assert usable_cpus({}, tmp_path) == HERE
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    try:
        assert usable_cpus({}, tmp_path) == 1
    finally:
        os.sched_setaffinity(0, {first, *others})


def test_usable_cpus_are_all_where_a_system_has_no_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus({}, tmp_path) == os.cpu_count()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", HERE), ("100000 100000", 1), ("50000 100000", 1), ("9900000 100000", HERE), ("", HERE)],
)
def test_usable_cpus_respect_the_quota_of_any_group_above(
    text: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "_own_cgroups", lambda: ["0::/system/job_7/step_0"])
    (tmp_path / "system" / "job_7" / "step_0").mkdir(parents=True)
    (tmp_path / "system" / "job_7" / "cpu.max").write_text(text)
    assert usable_cpus({}, tmp_path) == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [("100000", 1), ("50000", 1), ("-1", HERE), ("9900000", HERE), ("", HERE)]
)
def test_usable_cpus_respect_the_quota_of_version_1(
    quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["5:memory:/docker/box", "4:cpu,cpuacct:/docker/box", "1:name=systemd:/docker/box", "0::/"]
    monkeypatch.setattr(cpus, "_own_cgroups", lambda: lines)
    group = tmp_path / "cpu,cpuacct"  # a container sees its own group here, without the path
    group.mkdir()
    (group / "cpu.cfs_quota_us").write_text(quota)
    (group / "cpu.cfs_period_us").write_text("100000")
    assert usable_cpus({}, tmp_path) == expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SLURM_CPUS_ON_NODE": "1"}, 1),
        ({"SLURM_CPUS_ON_NODE": "64", "SLURM_CPUS_PER_TASK": "1"}, 1),
        ({"SLURM_CPUS_ON_NODE": "640"}, HERE),
        ({"SLURM_CPUS_ON_NODE": "many"}, HERE),
    ],
)
def test_usable_cpus_respect_slurm(environment: dict[str, str], expected: int, tmp_path: Path) -> None:
    assert usable_cpus(environment, tmp_path) == expected
