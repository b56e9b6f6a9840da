"""`medpt-grid COMMAND` or `python -m grid COMMAND`: run one of the commands; without one, list them."""

import runpy
import sys
from importlib.metadata import version

from medpt.errors import did_you_mean

COMMANDS = {
    "compare": "which initialization for a folder of your images: one command to one answer",
    "run": "plan a space, train what is not finished, report",
    "query": "print tables and comparisons of results, or write them as CSV",
    "report": "write the HTML report of a space",
    "advise": "say which initializations to try first for a folder of images",
    "doctor": "check the machine, the data and the settings before a run",
    "predict": "apply a fine-tuned network of a space to new images",
    "export": "write a fine-tuned network as one file, with a model card",
    "publish": "share finished units with other laboratories",
    "pull": "take over finished units of another laboratory, and verify a sample",
    "prepare": "preprocess one dataset into shards, without a space",
    "slides": "cut the slides of one cohort into patches, without a space",
    "space": "print the JSON Schema of space files, for editors",
    "tracking": "serve the record of runs with MLflow on this machine",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command named first with the other arguments. Return 2 if there is no such command."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(overview())
    elif name == "--version":
        print(f"medpt-grid {version('medpt-grid')}")
    elif name in COMMANDS:
        sys.argv = [f"grid.{name}", *rest]
        runpy.run_module(f"grid.{name}", run_name="__main__", alter_sys=True)
    else:
        print(f"medpt-grid: no command `{name}`; {did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return 2
    return 0


def overview() -> str:
    """Return the list of commands."""
    commands = [f"  {name:<10}{purpose}" for name, purpose in COMMANDS.items()]
    usage = "usage: medpt-grid [--version] COMMAND [OPTION ...]"
    more = "`medpt-grid COMMAND --help` lists a command's options; `medpt-data --help`: the datasets."
    return "\n".join([usage, "", "commands:", *commands, "", more])


if __name__ == "__main__":
    sys.exit(main())
