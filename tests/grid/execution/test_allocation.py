"""Allocations: fractions that divide a GPU, more of it after memory ran out, shares from measured peaks."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_units import marker

from grid.execution import allocation
from grid.execution.allocation import FRACTIONS, GPU_SHARES, Allocation, Allocations, Capacity
from grid.plan.plan import Plan, Unit
from grid.plan.stored_plans import record_start
from grid.store.store import Store
from medpt.errors import InputError
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Prepare

GIB = 2**30
SIZES = st.integers(4 * GIB, 192 * GIB)


def unit(seed: int = 0, backbone: str = "resnet18", architecture: str = "unet", batch: int = 16) -> Unit:
    protocol = TrainingProtocol(batch_size=batch)
    spec = Finetune("random", None, "DRIVE", "d", backbone, architecture, seed=seed, protocol=protocol)
    return Unit(spec, (), f"{backbone} {seed}")


def is_divisor(share: float) -> bool:
    """Whether as many shares as fit fill a device, in the ten-thousandths in which Ray counts."""
    parts = round(share * 10_000)
    return abs(parts - share * 10_000) < 1e-9 and 10_000 % parts == 0


@given(st.floats(0, 3), SIZES, SIZES)
def test_every_share_divides_a_device(wanted: float, peak: int, device: int) -> None:
    table = [share for pair in (*GPU_SHARES.values(), allocation.EXTENSION_SHARES) for share in pair]
    asked = allocation.smallest_fraction(wanted), allocation.share_for_peak(peak, device)
    for share in (*table, allocation.DEFAULT_SHARE, *asked):
        assert is_divisor(share)
        assert share in FRACTIONS
    assert not is_divisor(0.15)
    assert not is_divisor(1 / 6)


@given(st.integers(0, 192 * GIB), SIZES)
def test_share_for_peak_is_the_smallest_that_holds_it(peak: int, device: int) -> None:
    need = peak * allocation.MARGIN + allocation.CONTEXT
    holding = [share for share in FRACTIONS if share * device >= need]
    assert allocation.share_for_peak(peak, device) == (min(holding) if holding else 1.0)


@given(st.sampled_from(FRACTIONS), SIZES)
def test_usable_shares_and_contexts_together_fit_a_device(share: float, device: int) -> None:
    usable = allocation.usable_share(share, device)
    assert 0 < usable < share
    if share * device > 2 * allocation.CONTEXT:
        assert round(1 / share) * (usable * device + allocation.CONTEXT) <= device * (1 + 1e-9)


def test_increase_doubles_the_share_up_to_the_device() -> None:
    first, other = unit(0), unit(1)
    allocations = Allocations(gpus=1.0)
    seen = [allocations.allocation_for(first).gpu]
    while allocations.increase(first):
        seen.append(allocations.allocation_for(first).gpu)
    assert seen == [0.25, 0.5, 1.0]
    assert allocations.allocation_for(other) == Allocation(cpus=1, gpu=0.25)


def test_increase_without_gpus_gives_the_largest_machine() -> None:
    first, allocations = unit(), Allocations(largest_node=lambda: 8)
    assert allocations.allocation_for(first) == Allocation(cpus=1)
    assert allocations.increase(first)
    assert allocations.allocation_for(first) == Allocation(cpus=8)
    assert not allocations.increase(first)
    assert not Allocations(largest_node=lambda: 1).increase(first)


def test_measured_share_replaces_that_of_the_table() -> None:
    first = unit()
    assert Allocations(1.0, {first.digest: 0.1}).allocation_for(first).gpu == 0.1
    assert Allocations(0.0, {first.digest: 0.1}).allocation_for(first) == Allocation(cpus=1)


def test_capacity_slots_are_as_many_as_fit_and_at_least_one() -> None:
    assert Capacity(cpus=16, gpus=2).slots(0.2) == 10
    assert Capacity(cpus=16, gpus=0).slots(1.0) == 16
    assert Capacity(cpus=0, gpus=0).slots(1.0) == 1


def test_check_gpus_refuses_more_than_pytorch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    allocation.check_gpus(0)
    allocation.check_gpus(1)
    with pytest.raises(InputError, match=r"--gpus 2: PyTorch sees 1 GPU here; use 0 to 1"):
        allocation.check_gpus(2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def plan(*units: Unit, name: str = "one") -> Plan:
    return Plan(name, "", (), (), {each.digest: each for each in units})


def finished(store: Store, made: Unit, **peak: Any) -> None:
    store.documents.write(f"done/{made.digest}.json", marker(made.digest, peak=peak).content())


def test_measured_shares_come_from_like_units_of_other_plans(store: Store) -> None:
    done = [unit(seed) for seed in range(2)]
    record_start(store, plan(*done), Path("one.yaml"))
    finished(store, done[0], resident=1, device=GIB, device_size=24 * GIB)
    finished(store, done[1], resident=1, device=4 * GIB, device_size=24 * GIB)
    alike, larger, other = unit(7), unit(7, batch=64), unit(7, backbone="densenet121")
    coming = plan(alike, larger, other, name="two")
    shares = allocation.measured_shares(coming, coming.units, store)
    assert shares == {alike.digest: 0.25}  # of the larger peak: 5.6 of 24 GiB


def test_measured_shares_ignore_units_that_ran_on_a_cpu(store: Store) -> None:
    done = unit(0)
    record_start(store, plan(done), Path("one.yaml"))
    finished(store, done, resident=GIB)
    coming = plan(unit(1))
    assert allocation.measured_shares(coming, coming.units, store) == {}


def test_profile_contains_the_side_of_the_images() -> None:
    sides = {}
    for size in (128, 256):
        data = Unit(Prepare("DRIVE", "f", f"resize({size})"), (), "DRIVE")
        spec = Finetune("random", None, "DRIVE", data.digest, "resnet18", "unet")
        sides[size] = allocation.profile(Unit(spec, (data.digest,), ""), {data.digest: data})
    assert sides[128] != sides[256]
    assert sides[128][:-1] == sides[256][:-1]


def test_measured_peak_is_of_one_unit_and_not_of_the_process() -> None:
    """The kernel's own count; 200 MB that come and go are seen once."""
    import numpy as np

    allocation.reset_peaks()
    before = allocation.measure_peaks()["resident"]
    held = np.ones(25 * 2**20)
    during = allocation.measure_peaks()["resident"]
    assert during - before > 150 * 2**20
    del held
    allocation.reset_peaks()
    assert during - allocation.measure_peaks()["resident"] > 150 * 2**20
