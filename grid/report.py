"""`python -m grid.report --space NAME`: one self-contained page on a space, and its tables as CSV and LaTeX.

Everything in it is computed from MLflow's record, the plan and the store's artifacts; what is not there is
named. It never runs or imports training code.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grid import results, tables
from grid.evidence import Evidence
from grid.store import Store
from medpt import files
from medpt.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parent.parent / "reports" / "templates"
PAGE = "index.html"


def build(space: str, out: Path, tracking_uri: str | None = None) -> Path:
    """Writes <out>/reports/<space>/{index.html, table.csv, table.tex, trials.csv}; the path of the page.

    Each file appears by atomic replacement, the page last. Raises InputError where the space was never run.
    """
    plan = results.read_plan(space, out)
    evidence = Evidence(plan, Store(out))
    frame = results.load(space, out, tracking_uri)
    frame["state"] = [evidence.state(*pair) for pair in zip(frame["digest"], frame["status"], strict=True)]
    found = tables.cells(frame)
    floors = background_floors(frame)
    folder = out / "reports" / plan["space"]
    files.write_text(folder / "table.csv", tables.to_csv(found))
    files.write_text(folder / "table.tex", tables.to_latex(found, floors))
    files.write_text(folder / "trials.csv", frame.to_csv(index=False))
    files.write_text(folder / PAGE, render(page(frame, found, floors, evidence)))
    return folder / PAGE


def page(
    frame: "pd.DataFrame", found: list[tables.Cell], floors: dict[tables.Column, float], evidence: Evidence
) -> dict[str, Any]:
    """Everything that the template shows."""
    return {
        "plan": evidence.plan,
        "tables": tables.tables(found),
        "floors": floors,
        "failures": evidence.failures(),
        "gaps": evidence.gaps,
    }


def background_floors(frame: "pd.DataFrame") -> dict[tables.Column, float]:
    """The mean IoU, in per cent, of answering background everywhere; a fact of each target's test part."""
    if "background_miou" not in frame.columns:
        return {}
    known = frame.dropna(subset=["background_miou"])
    grouped = known.groupby(["target", "target_size"], sort=False)["background_miou"].mean()
    return {(str(key[0]), float(key[1])): 100 * float(value) for key, value in grouped.items()}


def render(context: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"heading": tables.heading, "metric_names": tables.METRIC_NAMES}
    return environment.get_template("report.html.j2").render(context)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m grid.report",
        description="A self-contained page on a space, with CSV and LaTeX of its tables.",
    )
    parser.add_argument("--space", required=True, metavar="NAME")
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="DIR", help="results; default runs/"
    )
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow; default SQLite below --out")
    options = parser.parse_args(arguments)
    try:
        print(build(options.space, options.out, options.tracking_uri))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
