"""The queue of units: in random graphs each unit starts once, after its needs, in the order of the plan."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from made_units import data_unit, trial_unit

from grid.execution.ready_queue import ReadyQueue
from grid.plan.plan import Unit

KINDS = ("trial", "prepare", "slides")


@st.composite
def graphs(draw: Any) -> list[Unit]:
    """Up to ten units, each of which needs some that come before it."""
    units: list[Unit] = []
    for number, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=10))):
        needs = draw(st.lists(st.sampled_from(units), unique_by=lambda unit: unit.digest)) if units else []
        units.append(trial_unit(number, needs) if kind == "trial" else data_unit(number, needs, kind))
    return units


def needing(lost: set[str], units: list[Unit]) -> list[str]:
    """Return the units that cannot run once `lost` are, in the order of the plan."""
    found: list[str] = []
    for unit in units:
        if unit.digest not in lost and (lost | set(found)).intersection(unit.needs):
            found.append(unit.digest)
    return found


@given(graphs(), st.data())
def test_units_start_once_after_their_needs_in_plan_order(units: list[Unit], data: st.DataObject) -> None:
    queue, by_digest = ReadyQueue(units), {unit.digest: unit for unit in units}
    started: list[str] = []
    running: list[str] = []
    finished: set[str] = set()
    lost: set[str] = set()
    while not queue.is_done:
        left = [unit for unit in units if unit.digest not in lost | finished | set(started)]
        ready = [unit for unit in left if finished.issuperset(unit.needs)]
        trials = [unit.digest for unit in ready if unit.kind == "finetune"]
        if not trials:
            assert queue.next_trial(now=0) is None
        if len(trials) == len(ready):
            assert queue.next_data_units(now=0) == []
        # Where only one kind can start, it is asked: a choice of the other could be repeated for ever
        if data.draw(st.booleans()) if 0 < len(trials) < len(ready) else not trials:
            new = queue.next_data_units(now=0)
            kind = next(
                (kind for kind in ("prepare", "slides") if any(unit.kind == kind for unit in ready)), None
            )
            assert new == [unit.digest for unit in ready if unit.kind == kind]
        else:
            new = [queue.next_trial(now=0)]
            assert new == trials[:1]
        started += new
        running += new
        if running:
            ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
            if data.draw(st.booleans()):
                queue.finish(ended)
                finished.add(ended)
            else:
                lost.add(ended)
                blocked = queue.fail(ended)
                assert blocked == [name for name in needing(lost, units) if name not in lost]
                lost.update(blocked)
    assert len(started) == len(set(started))
    assert finished | lost == by_digest.keys()
    assert not finished & lost
    assert queue.next_trial(0) is None
    assert queue.next_data_units(0) == []


@given(graphs(), st.data())
def test_units_that_others_finished_do_not_start(units: list[Unit], data: st.DataObject) -> None:
    queue = ReadyQueue(units)
    names = [unit.digest for unit in units]
    others = data.draw(st.lists(st.sampled_from(names), unique=True))
    assert queue.add_finished(others) == [name for name in names if name in others]
    assert queue.add_finished(others) == []
    while not queue.is_done:
        started = [*queue.next_data_units(0), *filter(None, [queue.next_trial(0)])]
        assert started
        assert not set(started) & set(others)
        for name in started:
            queue.finish(name)


def test_failed_unit_from_before_the_run_blocks_what_needs_it() -> None:
    failed = trial_unit(0)
    first, second = trial_unit(1, [failed]), trial_unit(3)
    last = trial_unit(2, [first])
    queue = ReadyQueue([first, last, second])
    assert queue.fail(failed.digest) == [first.digest, last.digest]
    assert queue.fail(failed.digest) == []
    assert queue.next_trial(0) == second.digest


def test_running_unit_that_others_finish_still_ends_here() -> None:
    unit = trial_unit(0)
    queue = ReadyQueue([unit])
    assert queue.next_trial(0) == unit.digest
    assert queue.add_finished([unit.digest]) == []
    assert not queue.is_done
    queue.finish(unit.digest)
    assert queue.is_done


def test_retried_unit_comes_before_all_others() -> None:
    units = [trial_unit(number) for number in range(3)]
    queue = ReadyQueue(units)
    queue.next_trial(0)
    assert queue.next_trial(0) == units[1].digest
    queue.retry(units[1].digest)
    assert [queue.next_trial(0) for _ in range(3)] == [units[1].digest, units[2].digest, None]


def test_deferred_unit_comes_after_the_others_and_not_before_its_time() -> None:
    units = [trial_unit(number) for number in range(3)]
    queue = ReadyQueue(units)
    queue.next_trial(now=0)
    queue.defer(units[0].digest, until=10)
    assert queue.next_trial(now=9) == units[1].digest
    assert queue.next_trial(now=10) == units[2].digest
    assert queue.next_trial(now=9) is None
    assert not queue.is_done
    assert queue.next_trial(now=10) == units[0].digest


def test_data_units_of_one_kind_start_together_and_images_first() -> None:
    slides, images = data_unit(0, kind="slides"), [data_unit(1), data_unit(2)]
    trial = trial_unit(3, [slides, *images])
    queue = ReadyQueue([slides, *images, trial])
    assert queue.next_data_units(0) == [unit.digest for unit in images]
    assert queue.next_data_units(0) == [slides.digest]
    assert not queue.has_data_units
    assert queue.next_trial(0) is None
