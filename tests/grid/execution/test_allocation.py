"""Slices of a machine: fractions that divide a GPU, more of it after a lack, shares from peaks."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.execution import allocation, peaks
from grid.execution.allocation import FRACTIONS, GPU_SHARES, Allocations, Capacity
from grid.plan.plan import Plan, Unit
from grid.space.trials import Settings, Space
from grid.store.store import Store
from medpt import files
from medpt.errors import InputError
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune, Prepare

GIB = 2**30
SIZES = st.integers(4 * GIB, 192 * GIB)


def unit(seed: int = 0, backbone: str = "resnet18", architecture: str = "unet", batch: int = 16) -> Unit:
    protocol = TrainingProtocol(batch_size=batch)
    spec = Finetune("random", None, "DRIVE", "d", backbone, architecture, seed=seed, protocol=protocol)
    return Unit("finetune", spec, (), f"{backbone} {seed}")


def is_divisor(share: float) -> bool:
    """Whether as many shares as fit fill a device, in the ten-thousandths in which Ray counts."""
    parts = round(share * 10_000)
    return abs(parts - share * 10_000) < 1e-9 and 10_000 % parts == 0


@given(st.floats(0, 3), SIZES, SIZES)
def test_every_share_that_is_ever_asked_for_divides_a_device(wanted: float, peak: int, device: int) -> None:
    table = [share for pair in (*GPU_SHARES.values(), allocation.UNMEASURED) for share in pair]
    for share in (*table, allocation.OTHERS, allocation.fraction(wanted), allocation.fitting(peak, device)):
        assert is_divisor(share)
        assert share in FRACTIONS
    assert not is_divisor(0.15)
    assert not is_divisor(1 / 6)


@given(st.integers(0, 192 * GIB), SIZES)
def test_the_share_is_the_smallest_that_holds_the_peak(peak: int, device: int) -> None:
    need = peak * allocation.MARGIN + allocation.CONTEXT
    holding = [share for share in FRACTIONS if share * device >= need]
    assert allocation.fitting(peak, device) == (min(holding) if holding else 1.0)


@given(st.sampled_from(FRACTIONS), SIZES)
def test_processes_that_fill_a_device_with_their_contexts_do_not_exceed_it(share: float, device: int) -> None:
    allowed = allocation.allowed(share, device)
    assert 0 < allowed < share
    if share * device > 2 * allocation.CONTEXT:
        assert round(1 / share) * (allowed * device + allocation.CONTEXT) <= device * (1 + 1e-9)


def test_a_unit_that_ran_out_gets_twice_as_much_and_no_more_than_a_device() -> None:
    first, other = unit(0), unit(1)
    slices = Allocations(gpus=1.0)
    seen = [slices.of(first)["GPU"]]
    while slices.enlarge(first):
        seen.append(slices.of(first)["GPU"])
    assert seen == [0.25, 0.5, 1.0]
    assert slices.of(other) == {"CPU": 1, "GPU": 0.25}


def test_without_gpus_it_gets_a_machine_alone() -> None:
    first, slices = unit(), Allocations(largest_node=lambda: 8)
    assert slices.of(first) == {"CPU": 1}
    assert slices.enlarge(first)
    assert slices.of(first) == {"CPU": 8}
    assert not slices.enlarge(first)
    assert not Allocations(largest_node=lambda: 1).enlarge(first)


def test_a_measured_share_replaces_the_table_s() -> None:
    first = unit()
    assert Allocations(1.0, {first.digest: 0.1}).of(first)["GPU"] == 0.1
    assert Allocations(0.0, {first.digest: 0.1}).of(first) == {"CPU": 1}


def test_a_run_keeps_as_much_going_as_it_counts_on() -> None:
    assert Capacity(cpus=16, gpus=2).slots(0.2) == 10
    assert Capacity(cpus=16, gpus=0).slots(1.0) == 16
    assert Capacity(cpus=0, gpus=0).slots(1.0) == 1


def test_gpus_that_pytorch_cannot_use_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    allocation.check_gpus(0)
    allocation.check_gpus(1)
    with pytest.raises(InputError, match=r"--gpus 2: .* accepted: 0 to 1"):
        allocation.check_gpus(2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.create()
    return made


def plan(*units: Unit, name: str = "one") -> Plan:
    space = Space(name, "", Settings(), (), ())
    return Plan(space, {each.digest: each for each in units}, ())


def finished(store: Store, made: Unit, **peak: Any) -> None:
    files.write_json(store.root / "done" / f"{made.digest}.json", {"peak": peak})


def test_peaks_of_another_plan_s_units_set_the_shares_of_their_like(store: Store) -> None:
    done = [unit(seed) for seed in range(2)]
    store.write_plan("one", plan(*done).plain())
    finished(store, done[0], resident=1, device=GIB, device_size=24 * GIB)
    finished(store, done[1], resident=1, device=4 * GIB, device_size=24 * GIB)
    alike, larger, other = unit(7), unit(7, batch=64), unit(7, backbone="densenet121")
    coming = plan(alike, larger, other, name="two")
    found = peaks.shares(coming, coming.units, store)
    assert found == {alike.digest: 0.25}  # of the larger peak: 5.6 of 24 GiB


def test_what_ran_on_a_cpu_says_nothing_of_a_gpu(store: Store) -> None:
    done = unit(0)
    store.write_plan("one", plan(done).plain())
    finished(store, done, resident=GIB)
    coming = plan(unit(1))
    assert peaks.shares(coming, coming.units, store) == {}


def test_the_side_of_the_images_is_part_of_what_is_alike() -> None:
    sides = {}
    for size in (128, 256):
        data = Unit("prepare", Prepare("DRIVE", "f", f"resize({size})"), (), "DRIVE")
        spec = Finetune("random", None, "DRIVE", data.digest, "resnet18", "unet")
        sides[size] = peaks.profile(Unit("finetune", spec, (data.digest,), ""), {data.digest: data})
    assert sides[128] != sides[256]
    assert sides[128][:-1] == sides[256][:-1]


def test_a_peak_is_of_one_unit_and_not_of_the_process() -> None:
    """Kernel's own count; 200 MB that come and go are seen once."""
    import numpy as np

    peaks.reset_peaks()
    before = peaks.measure_peaks()["resident"]
    held = np.ones(25 * 2**20)
    during = peaks.measure_peaks()["resident"]
    assert during - before > 150 * 2**20
    del held
    peaks.reset_peaks()
    assert during - peaks.measure_peaks()["resident"] > 150 * 2**20
