"""What other users of the machine could see of a run, and do to it."""

import exposure
import tiny


def test_run_exposes_no_secret(observed: tuple[tiny.Run, exposure.Exposure]) -> None:
    _, seen = observed
    assert seen.looks > 5
    assert seen.in_commands == set()
    assert seen.in_readable_files == set()
    assert seen.in_results == set()
    assert seen.printed == set()


def test_run_lets_others_write_to_nothing(observed: tuple[tiny.Run, exposure.Exposure]) -> None:
    _, seen = observed
    assert seen.writable == set()
