"""What can break, how the tests break it, what is expected then: docs/reliability.md, in order."""

from rows_of_data import DATA
from rows_of_runs import RUNS

ROWS = [*RUNS, *DATA]
