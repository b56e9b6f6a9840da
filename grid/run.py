"""`python -m grid.run --space NAME`: plan the units of a space, run what is left of them, and report.

Exit codes: 0 all units are finished and recorded, or --budget is over; 1 some units failed (the rest
finished), MLflow's record is incomplete, or the disk is full; 2 refused before anything started; 75 to be put
back into Slurm's queue; 129, 130, 131, 143 and 152 interrupted. However a run ended, the same command
resumes it.
"""

import sys
from functools import partial

from grid.options import parse_options


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    from grid.space_run import run_space  # here, so that --help loads none of it
    from medpt import cli

    return cli.run_command(partial(run_space, options), options.local_folder)


if __name__ == "__main__":
    code = main()
    from grid.cluster.process_exit import exit_process

    exit_process(code)
